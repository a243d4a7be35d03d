package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// sources opens go-spiffe's three sources, prints what they hold, and prints it again on every update of one of them.
func sources(ctx context.Context, addr workloadapi.ClientOption, args []string) error {
	x509s, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(addr))
	if err != nil {
		return err
	}
	defer x509s.Close()
	jwts, err := workloadapi.NewJWTSource(ctx, workloadapi.WithClientOptions(addr))
	if err != nil {
		return err
	}
	defer jwts.Close()
	bundles, err := workloadapi.NewBundleSource(ctx, workloadapi.WithClientOptions(addr))
	if err != nil {
		return err
	}
	defer bundles.Close()
	for ctx.Err() == nil {
		held, err := hold(ctx, x509s, jwts, bundles, args[0])
		if err != nil {
			held = map[string]any{"error": err.Error()}
		}
		emit(held)
		select {
		case <-ctx.Done():
		case <-x509s.Updated():
		case <-jwts.Updated():
		case <-bundles.Updated():
		}
	}
	return nil
}

func hold(ctx context.Context, x509s *workloadapi.X509Source, jwts *workloadapi.JWTSource,
	bundles *workloadapi.BundleSource, audience string) (map[string]any, error) {
	svid, err := x509s.GetX509SVID()
	if err != nil {
		return nil, err
	}
	_, _, unverified := x509svid.Verify(svid.Certificates, x509s)
	token, err := jwts.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return nil, err
	}
	_, invalid := jwtsvid.ParseAndValidate(token.Marshal(), jwts, []string{audience})
	bundle, err := bundles.GetBundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return nil, err
	}
	return map[string]any{"x509": svid.ID.String(), "serial": svid.Certificates[0].SerialNumber.String(),
		"hint": svid.Hint, "verified": unverified == nil, "jwt": token.ID.String(), "valid": invalid == nil,
		"x509_authorities": len(bundle.X509Authorities()), "jwt_authorities": len(bundle.JWTAuthorities())}, nil
}

type presented struct {
	JWT  string   `json:"jwt"`
	X509 [][]byte `json:"x509"`
}

// verify says of each credential on standard input whether it is good, by the bundles of the Workload API.
func verify(ctx context.Context, addr workloadapi.ClientOption, args []string) error {
	bundles, err := workloadapi.NewBundleSource(ctx, workloadapi.WithClientOptions(addr))
	if err != nil {
		return err
	}
	defer bundles.Close()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var one presented
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return err
		}
		id, err := check(one, bundles, args[0])
		if err != nil {
			emit(map[string]any{"error": err.Error()})
		} else {
			emit(map[string]any{"id": id.String()})
		}
	}
	return lines.Err()
}

func check(one presented, bundles *workloadapi.BundleSource, audience string) (spiffeid.ID, error) {
	if one.X509 != nil {
		id, _, err := x509svid.ParseAndVerify(one.X509, bundles)
		return id, err
	}
	svid, err := jwtsvid.ParseAndValidate(one.JWT, bundles, []string{audience})
	if err != nil {
		return spiffeid.ID{}, err
	}
	return svid.ID, nil
}
