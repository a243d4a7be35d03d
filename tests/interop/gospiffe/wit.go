package main

import (
	"context"
	"crypto"
	"time"

	"github.com/spiffe/go-spiffe/v2/exp/svid/witsvid"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// wit follows WIT-SVIDs and WIT bundles, and prints each SVID of that ID once it is verified, until interrupted.
func wit(ctx context.Context, addr workloadapi.ClientOption, args []string) error {
	source, err := workloadapi.NewWITSource(ctx, workloadapi.WithClientOptions(addr))
	if err != nil {
		return err
	}
	defer source.Close()
	id := spiffeid.RequireFromString(args[0])
	for {
		svid, err := source.GetWITSVIDForID(id)
		if err != nil {
			return err
		}
		verified, err := witsvid.ParseAndValidate(svid.Marshal(), source)
		if err != nil {
			return err
		}
		public := svid.PrivateKey.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool })
		emit(map[string]any{"id": verified.ID.String(), "kid": verified.KeyID, "hint": svid.Hint, "token": svid.Marshal(),
			"not_after": verified.Expiry.Unix(), "own": public.Equal(verified.PublicKey), "at": time.Now().Unix()})
		if err := source.WaitUntilUpdated(ctx); err != nil {
			return err
		}
	}
}
