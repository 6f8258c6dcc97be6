package session

import "strings"

// BearerToken returns the token in the value of a header field Authorization. The name of the scheme may be written
// in any case (RFC 9110 §11.1).
func BearerToken(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimLeft(token, " "), true
}
