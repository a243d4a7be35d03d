package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"time"

	_ "crypto/sha512" // SHA-384
)

// skew is how much two clocks may differ. It makes nothing live longer: what ends, ends by the clock here.
const skew = time.Minute

// refused is a refusal: a reason for programs, a message for people, a status for HTTP.
type refused struct {
	reason, message string
	status          int
}

func (r *refused) Error() string { return r.reason + ": " + r.message }

func refuse(reason, message string) error { return &refused{reason, message, http.StatusUnauthorized} }

func notAllowed(reason, message string) error { return &refused{reason, message, http.StatusForbidden} }

func unlearnt(message string) error {
	return &refused{"status_unknown", message, http.StatusServiceUnavailable}
}

// jwk is a public key: RFC 7517.
type jwk struct {
	Kid string `json:"kid,omitempty"`
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	E   string `json:"e"`
	N   string `json:"n"`
	D   string `json:"d,omitempty"`
}

type header struct {
	Typ  string          `json:"typ"`
	Alg  string          `json:"alg"`
	Kid  string          `json:"kid"`
	Jwk  jwk             `json:"jwk"`
	Crit json.RawMessage `json:"crit"`
}

// split reads a compact JWS into its header and its payload, which are nobody's word until signed says so.
func split(jws string, payload any) (header, error) {
	var head header
	parts := strings.Split(jws, ".")
	if len(parts) != 3 || parts[2] == "" || object(parts[0], &head) != nil || object(parts[1], payload) != nil || head.Crit != nil {
		return head, refuse("malformed", "it is no compact JWS of a JSON object")
	}
	return head, nil
}

func object(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// signed is whether the holder of this key signed that. The key's kind says by which algorithm; the header has to agree.
func signed(jws string, head header, key jwk) bool {
	end := strings.LastIndex(jws, ".")
	signature, err := base64.RawURLEncoding.DecodeString(jws[end+1:])
	if err != nil {
		return false
	}
	switch {
	case key.Kty == "EC" && key.Crv == "P-256" && head.Alg == "ES256":
		return key.verifyEC(elliptic.P256(), crypto.SHA256, jws[:end], signature)
	case key.Kty == "EC" && key.Crv == "P-384" && head.Alg == "ES384":
		return key.verifyEC(elliptic.P384(), crypto.SHA384, jws[:end], signature)
	case key.Kty == "RSA" && head.Alg == "RS256":
		return key.verifyRSA(jws[:end], signature)
	}
	return false
}

func (k jwk) verifyEC(curve elliptic.Curve, hash crypto.Hash, text string, signature []byte) bool {
	size := curve.Params().BitSize / 8
	point, err := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	if err != nil || errY != nil || len(point) != size || len(y) != size || len(signature) != 2*size {
		return false
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, bytes.Join([][]byte{{4}, point, y}, nil))
	if err != nil {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	sum := hash.New()
	sum.Write([]byte(text))
	return ecdsa.Verify(key, sum.Sum(nil), r, s)
}

func (k jwk) verifyRSA(text string, signature []byte) bool {
	n, err := base64.RawURLEncoding.DecodeString(k.N)
	e, errE := base64.RawURLEncoding.DecodeString(k.E)
	if err != nil || errE != nil || len(e) > 4 {
		return false
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	sum := sha256.Sum256([]byte(text))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// thumbprint is RFC 7638's: the members that make the key, in this order.
func (k jwk) thumbprint() string {
	members := []string{"crv", k.Crv, "kty", k.Kty, "x", k.X, "y", k.Y}
	if k.Kty == "RSA" {
		members = []string{"e", k.E, "kty", k.Kty, "n", k.N}
	}
	var pairs []string
	for at := 0; at < len(members); at += 2 {
		pairs = append(pairs, `"`+members[at]+`":"`+members[at+1]+`"`)
	}
	return digest([]byte("{" + strings.Join(pairs, ",") + "}"))
}
