package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"spamcatcher/signatures/fingerprint"
)

func fingerprintServe(g *global) *cobra.Command {
	var listen, zone, keys string
	var reporters int
	var half time.Duration
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer for a fingerprint network",
		Long: `Answers DNS queries for fingerprints below a zone, by UDP and TCP, and takes reports that
are signed by a key of the key file (TSIG). Nothing is listed on one reporter's word
alone; reports lose half of their weight in a week. Entries are kept in the folder
fingerprints of --state. Delegate the zone to this server, or have a resolver forward
it here. On a machine with several addresses let --listen name the one that the zone is
delegated to: answers by UDP from all of them ("0.0.0.0", "::") go out by the address that
the system chooses, which need not be the one that was asked.`,
		Example: "  spamcatcher fingerprint serve --listen 127.0.0.1:5353 --zone fp.example --keys reporters.keys",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			if zone == "" {
				zone = config.FingerprintZone
			}
			if zone == "" {
				return usageError{errors.New("fingerprint serve: --zone is needed")}
			}
			s := fingerprint.ServerConfig{Zone: zone, Listen: listen, Dir: filepath.Join(config.State, "fingerprints"), Reporters: reporters, HalfLife: half,
				Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
			if keys != "" {
				if s.Keys, err = readKeyFile(keys); err != nil {
					return err
				}
			}
			return serveFingerprints(c, s)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:5353", "`ADDRESS` for UDP and TCP")
	c.Flags().StringVar(&zone, "zone", "", "`ZONE` that is answered for (default: the configuration's)")
	c.Flags().StringVar(&keys, "keys", "", "key `FILE`; without one no reports are taken")
	c.Flags().IntVar(&reporters, "reporters", 2, "how many must report the same before it is listed")
	c.Flags().DurationVar(&half, "half-life", 7*24*time.Hour, "after which a report counts half")
	return c
}

func serveFingerprints(c *cobra.Command, config fingerprint.ServerConfig) error {
	limitMemory()
	s, err := fingerprint.NewServer(config)
	if err != nil {
		return err
	}
	config.Log.Info("answering", "address", s.Addr(), "zone", config.Zone, "keys", len(config.Keys), "entries", s.Stats().Entries)
	notify(stateReady)
	err = s.Run(c.Context())
	notify(stateStopping)
	stats := s.Stats()
	config.Log.Info("ended", "queries", stats.Queries, "listed", stats.Listed, "reports", stats.Reports, "refused", stats.Refused, "entries", stats.Entries)
	if closing := s.Close(); closing != nil {
		err = errors.Join(err, closing)
	}
	if err != nil {
		return fmt.Errorf("answering for %s: %w", config.Zone, err)
	}
	return nil
}
