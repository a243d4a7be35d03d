package main

import (
	"bytes"
	"compress/zlib"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	patience = 3 * time.Second
	most     = 4 << 20
	// Keys are asked for once a minute; for a key that is not among them, once in five seconds.
	aMinute, soon = time.Minute, 5 * time.Second
)

// issuer is what the issuer publishes, over HTTPS: metadata (RFC 8414), keys (RFC 7517), status lists
// (draft-ietf-oauth-status-list). What cannot be learnt is an error, and what was known before it is kept.
type issuer struct {
	name    string // its URL
	trusted func() *tls.Config

	mutex  sync.Mutex // over what follows; held while asking, so each thing is asked for once however many wait
	keys   []jwk
	at     time.Time // of keys
	lists  map[string]*list
	failed map[string]failure
}

// failure is what is answered for a second to all who ask the same, so that they do not wait in turn.
type failure struct {
	err error
	at  time.Time
}

type list struct {
	at    time.Time // before it was asked for, by a clock that nobody sets: it was the truth at some moment after that
	iat   float64
	exp   float64
	ttl   float64
	bits  int
	bytes []byte
}

func newIssuer(name string, trusted func() *tls.Config) *issuer {
	return &issuer{name: name, trusted: trusted, lists: map[string]*list{}, failed: map[string]failure{}}
}

func now() float64 { return float64(time.Now().UnixMilli()) / 1000 }

// key is the key of that ID.
func (i *issuer) key(kid string) (jwk, error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	return i.keyLocked(kid)
}

func (i *issuer) keyLocked(kid string) (jwk, error) {
	for _, age := range []time.Duration{aMinute, soon} {
		if i.at.IsZero() || time.Since(i.at) >= age {
			at := time.Now()
			keys, err := i.askForKeys()
			if err != nil {
				return jwk{}, err
			}
			i.keys, i.at = keys, at
		}
		for _, one := range i.keys {
			if one.Kid == kid && kid != "" {
				return one, nil
			}
		}
	}
	return jwk{}, refuse("unknown_key", "the issuer has no such key")
}

// askForKeys reads RFC 8414's metadata first: whoever is described there has to be who was asked for.
func (i *issuer) askForKeys() ([]jwk, error) {
	at, err := url.Parse(i.name)
	if err != nil {
		return nil, err
	}
	var metadata struct {
		Issuer  string `json:"issuer"`
		JwksURI string `json:"jwks_uri"`
	}
	described := at.Scheme + "://" + at.Host + "/.well-known/oauth-authorization-server" + at.Path
	if err := i.fetchJSON(described, &metadata); err != nil {
		return nil, err
	}
	if metadata.Issuer != i.name {
		return nil, unlearnt(described + " is about " + metadata.Issuer)
	}
	var found struct {
		Keys []jwk `json:"keys"`
	}
	return found.Keys, i.fetchJSON(metadata.JwksURI, &found)
}

// reference is what a token says of its place on a list.
type reference struct {
	Idx *int64 `json:"idx"`
	URI string `json:"uri"`
}

// status is what the list says of the token that refers to it: 0 is VALID, all else is not.
func (i *issuer) status(ref reference) (byte, error) {
	// The lists of this issuer are its own: a token cannot send us elsewhere.
	if !strings.HasPrefix(ref.URI, i.name+"/") || ref.Idx == nil {
		return 0, unlearnt("the status list is elsewhere")
	}
	i.mutex.Lock()
	defer i.mutex.Unlock()
	held := i.lists[ref.URI]
	// Once in `ttl` seconds, and no list after its end.
	if held == nil || time.Since(held.at).Seconds() >= held.ttl || held.exp <= now() {
		if last := i.failed[ref.URI]; time.Since(last.at) < time.Second {
			return 0, last.err
		}
		found, err := i.askForList(ref.URI, held)
		if err != nil {
			i.failed[ref.URI] = failure{err, time.Now()}
			return 0, err
		}
		i.lists[ref.URI], held = found, found
	}
	return statusAt(held.bytes, held.bits, *ref.Idx)
}

func (i *issuer) askForList(uri string, before *list) (*list, error) {
	at := time.Now()
	jws, err := i.fetch(uri, "application/statuslist+jwt")
	if err != nil {
		return nil, err
	}
	var said struct {
		Sub           string
		Iat, Exp, TTL *float64
		StatusList    struct {
			Bits int
			Lst  string
		} `json:"status_list"`
	}
	head, err := split(string(jws), &said)
	if err != nil {
		return nil, unlearnt("the list is no token")
	}
	key, err := i.keyLocked(head.Kid)
	switch {
	case err != nil || head.Typ != "statuslist+jwt" || !signed(string(jws), head, key):
		return nil, unlearnt("the list is not by the issuer")
	case said.Sub != uri:
		return nil, unlearnt("it is another list")
	case said.Iat == nil || said.Exp == nil || said.TTL == nil || *said.TTL <= 0:
		return nil, unlearnt("the list does not say how long it counts")
	case *said.Exp <= now() || *said.Iat > now()+skew.Seconds():
		return nil, unlearnt("the list is not of now")
	case before != nil && *said.Iat < before.iat:
		return nil, unlearnt("the list is older than the one before")
	}
	unpacked, err := decoded(said.StatusList.Bits, said.StatusList.Lst)
	return &list{at, *said.Iat, *said.Exp, *said.TTL, said.StatusList.Bits, unpacked}, err
}

// decoded are the bytes of `status_list`: base64url of a ZLIB stream, which says itself whether it is whole.
func decoded(bits int, lst string) ([]byte, error) {
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 {
		return nil, unlearnt("it is no status list")
	}
	packed, err := base64.RawURLEncoding.DecodeString(lst)
	if err != nil {
		return nil, unlearnt("the list is broken: " + err.Error())
	}
	stream, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, unlearnt("the list is broken: " + err.Error())
	}
	unpacked, err := io.ReadAll(io.LimitReader(stream, most+1))
	if err != nil || len(unpacked) > most {
		return nil, unlearnt(fmt.Sprint("the list is broken or too large: ", err))
	}
	return unpacked, nil
}

// statusAt is entry `idx`: entries of `bits` bits each, from the least significant bit of each byte on.
func statusAt(list []byte, bits int, idx int64) (byte, error) {
	perByte := int64(8 / bits)
	if idx < 0 || idx/perByte >= int64(len(list)) {
		return 0, unlearnt("it is not on the list")
	}
	return list[idx/perByte] >> (idx % perByte * int64(bits)) & (1<<bits - 1), nil
}

func (i *issuer) fetchJSON(url string, into any) error {
	text, err := i.fetch(url, "application/json")
	if err == nil && json.Unmarshal(text, into) != nil {
		err = unlearnt(url + ": malformed")
	}
	return err
}

// fetch is the body, if it is of that type; redirects are not followed.
func (i *issuer) fetch(url, kind string) ([]byte, error) {
	client := &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{TLSClientConfig: i.trusted(), DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, unlearnt(err.Error())
	}
	request.Header.Set("Accept", kind)
	answer, err := client.Do(request)
	if err != nil {
		return nil, unlearnt(err.Error())
	}
	defer answer.Body.Close()
	found, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if answer.StatusCode != http.StatusOK || found != kind {
		return nil, unlearnt(fmt.Sprintf("%s: %s, %s", url, answer.Status, found))
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	if err != nil || len(text) > most {
		return nil, unlearnt(fmt.Sprint(url, ": cut off or too large: ", err))
	}
	return text, nil
}
