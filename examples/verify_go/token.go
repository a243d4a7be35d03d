package main

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
)

// verifier takes task tokens of one issuer for the resource that this service is, whose own URL is url.
type verifier struct {
	issuer        *issuer
	resource, url string

	mutex  sync.Mutex
	proofs map[string]float64 // DPoP proofs that were presented, until when they could be again
}

// call is what a request brings; certificate is the client's (DER) if its connection was made with one.
type call struct {
	authorization, dpop, method, path string
	certificate                       []byte
}

type actor struct {
	SubProfile string `json:"sub_profile"`
}

type detail struct {
	Type        string                     `json:"type"`
	Resource    string                     `json:"resource"`
	Actions     []string                   `json:"actions"`
	Constraints map[string]json.RawMessage `json:"constraints"`
}

// claims are those of docs/task-tokens.md that a tool looks at. A token whose Aud is a list is not for us alone.
type claims struct {
	Iss, Profile  string
	Aud           any
	Exp, Iat, Nbf *float64
	SubProfile    string `json:"sub_profile"`
	Act           actor
	ClientID      string `json:"client_id"`
	Instance      string `json:"agent_instance_id"`
	Mission       struct{ ID, Issuer string }
	Cnf           map[string]string
	Details       []detail `json:"authorization_details"`
	Status        struct {
		List *reference `json:"status_list"`
	}
}

// verify is what the token says and the part of it that allows the action, whose constraints are among those enforced.
func (v *verifier) verify(c call, action string, enforced []string) (*claims, *detail, error) {
	scheme, token, _ := strings.Cut(c.authorization, " ")
	scheme = strings.ToLower(scheme)
	if token == "" || scheme != "bearer" && scheme != "dpop" {
		return nil, nil, refuse("no_credential", "a task token is needed")
	}
	said, err := v.genuine(token)
	if err != nil {
		return nil, nil, err
	}
	if err := v.possessed(said.Cnf, scheme, token, c); err != nil {
		return nil, nil, err
	}
	allowed, err := v.allowed(said.Details, action, enforced)
	if err != nil {
		return nil, nil, err
	}
	// Last: no list is fetched for a token that does not count anyway.
	return said, allowed, v.live(said.Status.List)
}

func (v *verifier) genuine(token string) (*claims, error) {
	said := &claims{}
	head, err := split(token, said)
	if err != nil {
		return nil, err
	}
	if head.Typ != "at+jwt" {
		return nil, refuse("not_a_task_token", "it is a token of another type")
	}
	key, err := v.issuer.key(head.Kid)
	if err != nil {
		return nil, err
	}
	agent := said.SubProfile == "ai_agent" || said.Act.SubProfile == "ai_agent"
	task := said.Mission.ID != "" && said.Mission.Issuer == v.issuer.name && said.Instance != ""
	switch {
	case !signed(token, head, key):
		return nil, refuse("bad_signature", "the issuer did not sign this")
	case said.Profile != "assay-task-1":
		return nil, refuse("not_a_task_token", "it is no assay-task-1")
	case said.Iss != v.issuer.name:
		return nil, refuse("wrong_issuer", "it is somebody else's")
	case said.Aud != v.resource:
		return nil, refuse("wrong_audience", "it is for somebody else")
	case said.Exp == nil || said.Iat == nil:
		return nil, refuse("not_a_task_token", "its times are no numbers")
	case *said.Exp <= now():
		return nil, refuse("expired", "its time is over")
	case *said.Iat > now()+skew.Seconds() || said.Nbf != nil && *said.Nbf > now()+skew.Seconds():
		return nil, refuse("not_yet_valid", "its time has not come")
	case agent && !task:
		return nil, refuse("not_a_task_token", "an AI agent has no token without a task")
	}
	return said, nil
}

// possessed: the key in `cnf` is in the caller's hands, that of its certificate (RFC 8705) or of its proof (RFC 9449).
func (v *verifier) possessed(cnf map[string]string, scheme, token string, c call) error {
	certificate, byCertificate := cnf["x5t#S256"]
	jkt, byProof := cnf["jkt"]
	switch {
	case len(cnf) > 1:
		return refuse("not_a_task_token", "it is bound to more than one key")
	case byCertificate && scheme == "bearer" && c.certificate == nil:
		return refuse("not_bound", "it is taken over mutual TLS, from the holder of its certificate")
	case byCertificate && scheme == "bearer" && digest(c.certificate) != certificate:
		return refuse("wrong_key", "it is bound to another certificate")
	case byCertificate && scheme == "bearer":
		return nil
	case byProof && scheme == "dpop":
		return v.proven(jkt, token, c)
	}
	missing := "not_bound"
	if byProof {
		missing = "no_proof"
	}
	return refuse(missing, "it is taken as it is bound: Bearer with a certificate, or DPoP with a proof")
}

func (v *verifier) proven(jkt, token string, c call) error {
	if c.dpop == "" {
		return refuse("no_proof", "one DPoP proof is needed")
	}
	var proof struct {
		Htm, Htu, Ath, Jti string
		Iat                float64
	}
	head, err := split(c.dpop, &proof)
	switch {
	case err != nil:
		return err
	case head.Typ != "dpop+jwt" || head.Jwk.D != "" || !signed(c.dpop, head, head.Jwk):
		return refuse("bad_proof", "the DPoP proof is not signed by its key")
	case head.Jwk.thumbprint() != jkt:
		return refuse("wrong_key", "the DPoP proof is by another key")
	case proof.Htm != c.method || proof.Htu != v.url+c.path || proof.Ath != digest([]byte(token)):
		return refuse("bad_proof", "the DPoP proof is for another request")
	case math.Abs(now()-proof.Iat) > skew.Seconds() || proof.Jti == "":
		return refuse("bad_proof", "the DPoP proof was not made just now")
	case !v.first(proof.Jti, proof.Iat+skew.Seconds()+1):
		return refuse("bad_proof", "the DPoP proof was presented before")
	}
	return nil
}

func (v *verifier) first(jti string, until float64) bool {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.proofs == nil {
		v.proofs = map[string]float64{}
	}
	for seen, end := range v.proofs {
		if end < now() {
			delete(v.proofs, seen)
		}
	}
	_, before := v.proofs[jti]
	v.proofs[jti] = until
	return !before
}

// allowed is the part of what the task may do here that has the action, if its constraints are all enforced.
func (v *verifier) allowed(details []detail, action string, enforced []string) (*detail, error) {
	for _, one := range details {
		if one.Type != "mission_resource_access" || one.Resource != v.resource || !slices.Contains(one.Actions, action) {
			continue
		}
		for name := range one.Constraints {
			if !slices.Contains(enforced, name) {
				return nil, notAllowed("unknown_constraint", "nothing here enforces "+name)
			}
		}
		return &one, nil
	}
	return nil, notAllowed("action_not_allowed", "the task may not "+action+" here")
}

func (v *verifier) live(ref *reference) error {
	if ref == nil {
		return unlearnt("the token names no status list")
	}
	status, err := v.issuer.status(*ref)
	if err == nil && status != 0 {
		err = refuse("revoked", "it was revoked")
	}
	return err
}
