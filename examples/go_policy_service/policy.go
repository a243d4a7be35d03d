package main

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

func rules(domain spiffeid.TrustDomain) map[string]spiffeid.Matcher {
	return map[string]spiffeid.Matcher{
		"/orders":  spiffeid.MatchID(spiffeid.RequireFromPath(domain, "/web")),
		"/reports": below(domain, "/analytics"),
		"/hello":   spiffeid.MatchMemberOf(domain),
	}
}

func below(domain spiffeid.TrustDomain, path string) spiffeid.Matcher {
	return func(id spiffeid.ID) error {
		if id.MemberOf(domain) && (id.Path() == path || strings.HasPrefix(id.Path(), path+"/")) {
			return nil
		}
		return errors.New("not below " + path)
	}
}

type policy struct {
	own     spiffeid.ID
	bundles jwtbundle.Source
	may     map[string]spiffeid.Matcher
}

func (p *policy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, by, err := p.identify(r)
	rule := p.may[r.URL.Path]
	switch {
	case err != nil:
		refuse(w, http.StatusUnauthorized, err)
	case rule == nil:
		refuse(w, http.StatusNotFound, errors.New("no such path"))
	case rule(caller) != nil:
		refuse(w, http.StatusForbidden, rule(caller))
	default:
		answer(w, http.StatusOK, map[string]string{"caller": caller.String(), "by": by})
	}
}

// identify says who calls. A certificate was verified in the handshake; a token, where there is one, decides.
func (p *policy) identify(r *http.Request) (spiffeid.ID, string, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		token, _ := strings.CutPrefix(header, "Bearer ")
		svid, err := jwtsvid.ParseAndValidate(token, p.bundles, []string{p.own.String()})
		if err != nil {
			return spiffeid.ID{}, "", err
		}
		return svid.ID, "JWT", nil
	}
	if len(r.TLS.PeerCertificates) > 0 {
		id, err := x509svid.IDFromCert(r.TLS.PeerCertificates[0])
		return id, "X.509", err
	}
	return spiffeid.ID{}, "", errors.New("the request has no SVID")
}

func refuse(w http.ResponseWriter, status int, err error) {
	log.Printf("refused: %v", err)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	answer(w, status, map[string]string{"error": strings.ToLower(http.StatusText(status)), "reason": err.Error()})
}

func answer(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
