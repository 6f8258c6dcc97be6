import { defineConfig } from "vite";

// The pages lie at any depth below the root: the server puts the way to the root before
// what begins with "./assets/".
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["watch.html", "index.html"] },
    chunkSizeWarningLimit: 1000,
  },
});
