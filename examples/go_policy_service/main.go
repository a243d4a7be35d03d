// Command go_policy_service is ../policy_service in Go, with go-spiffe: go_policy_service SERVICE_ID PORT.
package main

import (
	"context"
	"crypto/tls"
	"log"
	"net/http"
	"os"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	own := spiffeid.RequireFromString(os.Args[1])
	if err := serve(context.Background(), own, "127.0.0.1:"+os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, own spiffeid.ID, address string) error {
	x509, err := workloadapi.NewX509Source(ctx, workloadapi.WithDefaultX509SVIDPicker(picker(own)))
	if err != nil {
		return err
	}
	defer x509.Close()
	bundles, err := workloadapi.NewBundleSource(ctx)
	if err != nil {
		return err
	}
	defer bundles.Close()
	service := &policy{own: own, bundles: bundles, may: rules(own.TrustDomain())}
	server := &http.Server{Addr: address, Handler: service, TLSConfig: tlsConfig(x509, bundles, own.TrustDomain())}
	return server.ListenAndServeTLS("", "")
}

// picker chooses that one of the workload's identities.
func picker(own spiffeid.ID) func([]*x509svid.SVID) *x509svid.SVID {
	return func(svids []*x509svid.SVID) *x509svid.SVID {
		for _, svid := range svids {
			if svid.ID == own {
				return svid
			}
		}
		return nil
	}
}

// tlsConfig verifies the certificate of who presents one; who brings a token may come without.
// VerifyConnection, for Go does not call VerifyPeerCertificate when a session is resumed.
func tlsConfig(svid x509svid.Source, bundles x509bundle.Source, domain spiffeid.TrustDomain) *tls.Config {
	config := tlsconfig.MTLSServerConfig(svid, bundles, tlsconfig.AuthorizeMemberOf(domain))
	verify := config.VerifyPeerCertificate
	config.ClientAuth = tls.RequestClientCert
	config.VerifyPeerCertificate = nil
	config.VerifyConnection = func(state tls.ConnectionState) error {
		var chain [][]byte
		for _, certificate := range state.PeerCertificates {
			chain = append(chain, certificate.Raw)
		}
		if chain == nil {
			return nil
		}
		return verify(chain, nil)
	}
	return config
}
