package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"weir/internal/version"
)

// api is the flags with which commands reach a running server.
type api struct {
	API   string `name:"api" placeholder:"URL" help:"Where its admin listener is, such as http://127.0.0.1:8088. By default as the configuration says."`
	Token string `name:"token" env:"WEIR_ADMIN_TOKEN" placeholder:"TOKEN" help:"Its admin.token. By default as the configuration says."`
	source
}

const (
	apiTime   = 30 * time.Second
	maxAnswer = 16 << 20 // bytes
)

// address returns where the API is, and the token that it wants.
func (a *api) address() (base, token string, err error) {
	base, token = strings.TrimSuffix(a.API, "/"), a.Token
	if base != "" && token != "" {
		return base, token, nil
	}
	c, err := a.part("admin.")
	if err != nil {
		return "", "", err
	}
	conf := c.Config().Admin
	if token == "" {
		token = conf.Token
	}
	if base != "" {
		return base, token, nil
	}
	host, port, err := net.SplitHostPort(conf.Listen)
	if err != nil {
		return "", "", usageError{errors.New("the configuration turns the admin listener off (admin.listen): say where the server's is with --api")}
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), token, nil
}

// call asks the API. in, unless it is nil, is sent as JSON, and out, unless it is nil, filled in with the answer.
func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	base, token, err := a.address()
	if err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base+"/api/v1"+path, body)
	if err != nil {
		return usageError{fmt.Errorf("--api: %w", err)}
	}
	req.Header.Set("User-Agent", "weir/"+version.Get().Version)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return fmt.Errorf("no server answers at %s: %w", base, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", base, err)
	}
	if res.StatusCode >= 300 {
		return problemOf(res, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s: the answer is not what this program understands: is it another version of Weir?", base)
	}
	return nil
}

// all asks for every page of a list of the API, whose entries are called name there.
func (a *api) all(ctx context.Context, path, name string, q url.Values) (list []json.RawMessage, err error) {
	list = []json.RawMessage{}
	q.Set("limit", "10000")
	for {
		var page map[string]json.RawMessage
		if err := a.call(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		var part []json.RawMessage
		var next string
		if err := json.Unmarshal(page[name], &part); err != nil {
			return nil, fmt.Errorf("the answer has no %s: is the server another version of Weir?", name)
		}
		list = append(list, part...)
		if json.Unmarshal(page["next"], &next) != nil { // there is none
			return list, nil
		}
		q.Set("cursor", next)
	}
}

// problemOf is the error of an answer that says what went wrong.
func problemOf(res *http.Response, body []byte) error {
	var p struct {
		Detail string `json:"detail"`
		Errors []struct {
			What string `json:"what"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &p) != nil || p.Detail == "" {
		return fmt.Errorf("the server answers %s", res.Status)
	}
	for _, e := range p.Errors {
		p.Detail += " " + e.What
	}
	if res.StatusCode == http.StatusUnauthorized {
		p.Detail += " Give it with --token, or the configuration of the server with -c."
	}
	return errors.New(p.Detail)
}
