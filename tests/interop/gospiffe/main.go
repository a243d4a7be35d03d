// Command gospiffe is a foreign client of the Workload API: it does one thing with go-spiffe and prints JSON lines.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if len(os.Args) < 3 {
		fail(errors.New("usage: gospiffe watch|jwt|bundles|mtls|sources|verify|wit ADDRESS [ARGUMENT...]"))
	}
	run, ok := map[string]func(context.Context, workloadapi.ClientOption, []string) error{
		"watch": watch, "jwt": jwt, "bundles": bundles, "mtls": mtls, "sources": sources, "verify": verify, "wit": wit,
	}[os.Args[1]]
	if !ok {
		fail(fmt.Errorf("no command %q", os.Args[1]))
	}
	if err := run(ctx, workloadapi.WithAddr(os.Args[2]), os.Args[3:]); err != nil && ctx.Err() == nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func emit(value map[string]any) { _ = json.NewEncoder(os.Stdout).Encode(value) }

type printer struct{}

func (printer) OnX509ContextUpdate(c *workloadapi.X509Context) {
	for _, svid := range c.SVIDs {
		bundle, err := c.Bundles.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
		if err == nil {
			_, _, err = x509svid.Verify(svid.Certificates, bundle)
		}
		emit(map[string]any{"id": svid.ID.String(), "hint": svid.Hint, "serial": svid.Certificates[0].SerialNumber.String(),
			"not_after": svid.Certificates[0].NotAfter.Unix(), "verified": err == nil, "bundles": c.Bundles.Len()})
	}
}

func (printer) OnX509ContextWatchError(err error) { emit(map[string]any{"error": err.Error()}) }

// watch prints each X.509 update, verified against the bundle that came with it, until interrupted.
func watch(ctx context.Context, addr workloadapi.ClientOption, _ []string) error {
	return workloadapi.WatchX509Context(ctx, printer{}, addr)
}

// jwt fetches a JWT-SVID, verifies it here, and has the agent verify it too.
func jwt(ctx context.Context, addr workloadapi.ClientOption, args []string) error {
	client, err := workloadapi.New(ctx, addr)
	if err != nil {
		return err
	}
	defer client.Close()
	svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: args[0], ExtraAudiences: args[1:]})
	if err != nil {
		return err
	}
	bundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	local, err := jwtsvid.ParseAndValidate(svid.Marshal(), bundles, args[:1])
	if err != nil {
		return err
	}
	remote, err := client.ValidateJWTSVID(ctx, svid.Marshal(), args[0])
	if err != nil {
		return err
	}
	emit(map[string]any{"id": svid.ID.String(), "local": local.ID.String(), "remote": remote.ID.String(),
		"audience": svid.Audience, "expires": svid.Expiry.Unix()})
	return nil
}

// bundles prints how many authorities each trust domain has.
func bundles(ctx context.Context, addr workloadapi.ClientOption, _ []string) error {
	client, err := workloadapi.New(ctx, addr)
	if err != nil {
		return err
	}
	defer client.Close()
	x509s, err := client.FetchX509Bundles(ctx)
	if err != nil {
		return err
	}
	jwts, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	out := map[string]any{}
	for _, b := range x509s.Bundles() {
		n := 0
		if j, err := jwts.GetJWTBundleForTrustDomain(b.TrustDomain()); err == nil {
			n = len(j.JWTAuthorities())
		}
		out[b.TrustDomain().Name()] = []int{len(b.X509Authorities()), n}
	}
	emit(out)
	return nil
}

// mtls talks to itself over mutual TLS, each side accepting only its own ID, once a second until interrupted.
func mtls(ctx context.Context, addr workloadapi.ClientOption, args []string) error {
	id, err := spiffeid.FromString(args[0])
	if err != nil {
		return err
	}
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(addr))
	if err != nil {
		return err
	}
	defer source.Close()
	only := tlsconfig.AuthorizeID(id)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsconfig.MTLSServerConfig(source, source, only))
	if err != nil {
		return err
	}
	defer listener.Close()
	go echo(listener)
	for ctx.Err() == nil {
		serial, err := greet(listener.Addr(), tlsconfig.MTLSClientConfig(source, source, only))
		emit(map[string]any{"ok": err == nil, "error": fmt.Sprint(err), "serial": serial})
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

func echo(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() { defer conn.Close(); _, _ = io.Copy(conn, conn) }()
	}
}

func greet(addr net.Addr, config *tls.Config) (string, error) {
	conn, err := tls.Dial(addr.Network(), addr.String(), config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}
