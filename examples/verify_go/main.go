// Command verify_go is a tool's service that takes task tokens: verify_go ISSUER RESOURCE URL FOLDER
//
// FOLDER is what `assay api fetch x509 --write FOLDER` writes, again and again: certificate, key, trust bundle.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
)

type input struct {
	USD float64 `json:"usd"`
}

// tool is what one does, and how it enforces the constraints that it knows.
type tool struct {
	run      func(input) map[string]any
	enforces map[string]func(limit json.RawMessage, asked input) bool
}

var tools = map[string]tool{
	"crm.read": {run: func(input) map[string]any { return map[string]any{"ticket": 7, "says": "it is broken"} }},
	"crm.refund": {
		run:      func(asked input) map[string]any { return map[string]any{"refunded": asked.USD} },
		enforces: map[string]func(json.RawMessage, input) bool{"max_usd": atMost},
	},
}

func atMost(limit json.RawMessage, asked input) bool {
	var usd float64
	return json.Unmarshal(limit, &usd) == nil && asked.USD > 0 && asked.USD <= usd
}

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: verify_go ISSUER RESOURCE URL FOLDER")
	}
	name, resource, own, folder := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	trusted := func() *tls.Config { return &tls.Config{RootCAs: bundle(folder)} }
	service := &service{verifier{issuer: newIssuer(name, trusted), resource: resource, url: own}}
	at, err := url.Parse(own)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: at.Host, Handler: service, TLSConfig: serverConfig(folder)}
	fmt.Println(resource, "answers at", own)
	log.Fatal(server.ListenAndServeTLS("", ""))
}

// serverConfig reads the files anew for each connection. Callers with a DPoP key may come without a certificate; no
// tickets, so each connection shows its certificate anew.
func serverConfig(folder string) *tls.Config {
	each := func(*tls.ClientHelloInfo) (*tls.Config, error) {
		own, err := tls.LoadX509KeyPair(filepath.Join(folder, "svid.0.pem"), filepath.Join(folder, "svid.0.key"))
		return &tls.Config{
			Certificates:           []tls.Certificate{own},
			ClientAuth:             tls.VerifyClientCertIfGiven,
			ClientCAs:              bundle(folder),
			SessionTicketsDisabled: true,
			MinVersion:             tls.VersionTLS12,
		}, err
	}
	return &tls.Config{GetConfigForClient: each}
}

func bundle(folder string) *x509.CertPool {
	pool := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(folder, "bundle.0.pem"))
	if err != nil || !pool.AppendCertsFromPEM(text) {
		log.Print("no trust bundle: ", err)
	}
	return pool
}

type service struct{ verifier verifier }

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	said, err := s.answer(w, r)
	status := http.StatusOK
	if err != nil {
		// What is no refusal is a fault of this program, and a refusal all the same.
		refusal := &refused{"failed", "the service failed", http.StatusServiceUnavailable}
		errors.As(err, &refusal)
		log.Printf("refused %s: %v", r.URL.Path, err)
		status, said = refusal.status, map[string]any{"error": refusal.reason, "message": refusal.message}
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", DPoP algs="ES256 ES384 RS256"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(said)
}

func (s *service) answer(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	name := r.URL.Path[1:]
	tool, known := tools[name]
	if r.Method != http.MethodPost || !known {
		return nil, &refused{"not_found", "there is no such tool", http.StatusNotFound}
	}
	if len(r.Header.Values("Authorization")) > 1 || len(r.Header.Values("Dpop")) > 1 {
		return nil, refuse("malformed", "one such header is taken")
	}
	c := call{r.Header.Get("Authorization"), r.Header.Get("Dpop"), r.Method, r.URL.Path, nil}
	// The handshake refused one that the trust bundle does not vouch for.
	if presented := r.TLS.PeerCertificates; len(presented) > 0 {
		c.certificate = presented[0].Raw
	}
	said, allowed, err := s.verifier.verify(c, name, slices.Collect(maps.Keys(tool.enforces)))
	if err != nil {
		return nil, err
	}
	var asked input
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&asked); err != nil && err != io.EOF {
		return nil, &refused{"malformed", "the body is not what this takes", http.StatusBadRequest}
	}
	for constraint, limit := range allowed.Constraints {
		if !tool.enforces[constraint](limit, asked) {
			return nil, notAllowed("constraint_exceeded", constraint+" is "+string(limit))
		}
	}
	done := tool.run(asked)
	done["task"], done["instance"] = said.Mission.ID, said.ClientID
	return done, nil
}
