package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/runtime"
)

func serveCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a node until Ctrl-C",
		Description: `One process serves one directory. The public address speaks to apps, the admin address to you: keep it on
loopback or behind something that you trust. The first start writes the admin token to DIR/admin-token; the other
commands find it there, so on the same machine they need no flags but --dir.

Ctrl-C lets requests in flight finish; a second Ctrl-C ends at once.

  sluice serve --demo                 (a project, keys and commands to try; forgotten at the end)
  sluice serve --dir ./data           (keeps everything)`,
		Flags: append([]cli.Flag{
			dirFlag("data directory, created if missing; with --demo the default is a temporary one, removed at the end"),
			&cli.StringFlag{Name: "addr", Value: "127.0.0.1:8090", Usage: "public listener, HOST:PORT; port 0 picks a free one", Sources: cli.EnvVars("SLUICE_ADDR")},
			&cli.StringFlag{Name: "admin-addr", Value: "127.0.0.1:8091", Usage: "admin listener, HOST:PORT", Sources: cli.EnvVars("SLUICE_ADMIN_ADDR")},
			&cli.StringFlag{Name: "public-url", Usage: "where apps reach the public listener, such as https://api.example.com (default: its address)", Sources: cli.EnvVars("SLUICE_PUBLIC_URL")},
			&cli.BoolFlag{Name: "demo", Usage: "create a demo project with a policy, and print commands to try", Sources: cli.EnvVars("SLUICE_DEMO")},
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error; JSON lines on standard error; with --demo the default is warn", Sources: cli.EnvVars("SLUICE_LOG_LEVEL")},
			&cli.StringFlag{Name: "access-log", Value: "stderr", Usage: `one JSON line a request: "stderr", "off", or a file to append to; with --demo the default is off`, Sources: cli.EnvVars("SLUICE_ACCESS_LOG")},
			&cli.DurationFlag{Name: "timeout", Value: 30 * time.Second, Usage: "for receiving a request, and again for answering it", Sources: cli.EnvVars("SLUICE_TIMEOUT")},
			&cli.DurationFlag{Name: "drain-time", Value: 10 * time.Second, Usage: "for requests in flight at the end", Sources: cli.EnvVars("SLUICE_DRAIN_TIME")},
			&cli.IntFlag{Name: "connections", Value: 16384, Usage: "concurrent connections, each listener", Sources: cli.EnvVars("SLUICE_CONNECTIONS")},
			&cli.StringFlag{Name: "backup-dir", Usage: "directory for backups of the whole node on schedule, best on another disk (default: none are made)", Sources: cli.EnvVars("SLUICE_BACKUP_DIR")},
			&cli.DurationFlag{Name: "backup-every", Value: 24 * time.Hour, Usage: "how old the newest of them may become", Sources: cli.EnvVars("SLUICE_BACKUP_EVERY")},
			&cli.IntFlag{Name: "backup-keep", Value: 7, Usage: "how many of them stay", Sources: cli.EnvVars("SLUICE_BACKUP_KEEP")},
			&cli.StringFlag{Name: "trusted-proxies", Usage: "addresses and networks (CIDR) of your own proxies, separated by commas: only their X-Forwarded-For and X-Forwarded-Proto are believed", Sources: cli.EnvVars("SLUICE_TRUSTED_PROXIES")},
			jsonFlag(),
		}, slices.Concat(tlsFlags(), blobFlags(), mailFlags())...),
		Action: func(ctx context.Context, c *cli.Command) error { return serve(ctx, c, term) },
	}
}

// ready is what serve --json prints, as one line, once the node answers.
type ready struct {
	URL            string `json:"url"`
	AdminURL       string `json:"adminUrl"`
	Dir            string `json:"dir"`
	Project        string `json:"project,omitempty"` // with --demo
	PublishableKey string `json:"publishableKey,omitempty"`
	SecretKey      string `json:"secretKey,omitempty"`
}

func serve(ctx context.Context, c *cli.Command, term *terminal) (err error) {
	opt, place, err := serveOptions(c, term)
	if err != nil {
		return err
	}
	defer place.close()
	secured, err := readTLS(c, opt.Logger)
	if err != nil {
		return usageError{err}
	}
	if secured != nil {
		opt.TLS = secured.config
	}
	if c.String("domain") != "" && !c.IsSet("addr") {
		opt.Addr = ":443"
	}
	cleanup := func() {}
	if c.Bool("demo") && !c.IsSet("dir") {
		if opt.Dir, err = os.MkdirTemp("", "sluice-demo-"); err != nil {
			return err
		}
		cleanup = func() { _ = os.RemoveAll(opt.Dir) }
		// The demo is made anew each time, but its module need not be compiled anew: that is most of its start.
		opt.CacheDir = moduleCache()
	}
	defer cleanup()
	if closer, ok := opt.AccessLog.(*os.File); ok && io.Writer(closer) != term.err {
		defer func() { err = errors.Join(err, closer.Close()) }()
	}

	ctx, stop := untilSignal(ctx, term, cleanup)
	defer stop()
	place.dir = opt.Dir
	if err := errors.Join(place.agrees(), place.ping(ctx, opt.Logger)); err != nil {
		return err
	}
	node, err := runtime.Open(ctx, opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	if err := place.note(); err != nil { // the directory is this process's now
		return err
	}

	stopTLS, err := secured.run(ctx, opt.Logger)
	if err != nil {
		return err
	}
	defer stopTLS()
	// The listeners are bound, so whoever connects from here on is answered.
	served := make(chan error, 1)
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { served <- node.Serve(serving) }()
	if err := announce(serving, c, term, node, opt.Dir); err != nil {
		cancel()
		if ctx.Err() != nil {
			err = nil // interrupted while still setting up: not a failure
		}
		return errors.Join(err, <-served)
	}
	return <-served
}

// announce says where the node listens; with --demo it sets the demo up first.
func announce(ctx context.Context, c *cli.Command, term *terminal, node *runtime.Server, dir string) error {
	r := ready{URL: node.PublicURL(), AdminURL: node.AdminURL(), Dir: dir}
	if !c.Bool("demo") {
		if c.Bool("json") {
			return json.NewEncoder(term.out).Encode(r)
		}
		fmt.Fprintf(term.out, "%s %s   apps\n%s %s   admin\n", term.bold(term.out, "listening"), r.URL, term.bold(term.out, "listening"), r.AdminURL)
		return nil
	}
	keys, err := setUpDemo(ctx, dial(node.AdminURL(), node.AdminToken()), dir)
	if err != nil {
		return fmt.Errorf("set up the demo: %w", err)
	}
	r.Project, r.PublishableKey, r.SecretKey = demoProject, keys.PublishableKey, keys.SecretKey
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(r)
	}
	return printDemo(term, &r, c.IsSet("dir"))
}

// serveOptions turns flags into options and reports every bad one at once.
func serveOptions(c *cli.Command, term *terminal) (runtime.Options, *blobPlace, error) {
	var (
		level slog.Level
		errs  []error
	)
	if err := noArguments(c); err != nil {
		errs = append(errs, err)
	}
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		errs = append(errs, fmt.Errorf("--log-level %q is not debug, info, warn or error", c.String("log-level")))
	}
	for _, name := range []string{"timeout", "drain-time"} {
		if c.Duration(name) <= 0 {
			errs = append(errs, fmt.Errorf("--%s must be positive, such as 30s", name))
		}
	}
	if c.Duration("backup-every") < time.Minute {
		errs = append(errs, errors.New("--backup-every must be at least 1m"))
	}
	if c.Int("backup-keep") <= 0 {
		errs = append(errs, errors.New("--backup-keep must be positive"))
	}
	if c.Int("connections") <= 0 {
		errs = append(errs, errors.New("--connections must be positive"))
	}
	if u, err := url.Parse(c.String("public-url")); c.String("public-url") != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil) {
		errs = append(errs, fmt.Errorf("--public-url %q must be an address such as https://api.example.com", c.String("public-url")))
	}
	if c.String("dir") == "" {
		errs = append(errs, errors.New("--dir must not be empty"))
	}
	proxies, err := parseNetworks(c.String("trusted-proxies"))
	if err != nil {
		errs = append(errs, fmt.Errorf("--trusted-proxies: %w", err))
	}
	place, err := openBlobs(c, c.String("blobs"))
	if err != nil {
		errs = append(errs, fmt.Errorf("--blobs: %w", err))
	}
	carrier, err := mailCarrier(c)
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return runtime.Options{}, nil, usageError{errors.Join(errs...)}
	}
	if c.Bool("demo") && !c.IsSet("log-level") {
		level = slog.LevelWarn // the page is what a newcomer should see
	}
	access, err := accessLog(c, term)
	if err != nil {
		return runtime.Options{}, nil, err
	}
	return runtime.Options{
		Dir: c.String("dir"), Addr: c.String("addr"), AdminAddr: c.String("admin-addr"),
		PublicURL:   c.String("public-url"),
		Logger:      slog.New(slog.NewJSONHandler(term.err, &slog.HandlerOptions{Level: level})),
		AccessLog:   access,
		Timeout:     c.Duration("timeout"),
		DrainTime:   c.Duration("drain-time"),
		Connections: c.Int("connections"),

		Blobs:          place.backend,
		FileProvider:   place.provider(),
		Carrier:        carrier,
		MailFrom:       c.String("mail-from"),
		HoldMail:       c.Bool("hold-mail"),
		TrustedProxies: proxies,
		Backups:        runtime.BackupSchedule{Dir: c.String("backup-dir"), Every: c.Duration("backup-every"), Keep: c.Int("backup-keep")},
		Getenv:         os.Getenv,
		Host:           hooks.Options{Compiler: compiler()},
	}, place, nil
}

// parseNetworks reads a list of addresses and networks, such as "10.0.0.0/8, ::1".
func parseNetworks(list string) (networks []netip.Prefix, err error) {
	var errs []error
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		network, err := netip.ParsePrefix(item)
		if addr, alone := netip.ParseAddr(item); alone == nil {
			network, err = addr.WithZone("").Unmap().Prefix(addr.Unmap().BitLen())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", item))
			continue
		}
		networks = append(networks, network.Masked())
	}
	return networks, errors.Join(errs...)
}

func accessLog(c *cli.Command, term *terminal) (io.Writer, error) {
	switch name := c.String("access-log"); {
	case name == "off", c.Bool("demo") && !c.IsSet("access-log"):
		return nil, nil
	case name == "stderr":
		return term.err, nil
	default:
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
}

// untilSignal returns a context that ends at the first interrupt or termination signal. The second one ends the process
// at once, as far as cleanup can still be done.
func untilSignal(ctx context.Context, term *terminal, cleanup func()) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		if isTerminal(term.err) {
			fmt.Fprintln(term.err, "\nstopping; press Ctrl-C again to end at once")
		}
		cancel()
		<-signals
		cleanup()
		os.Exit(130)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}
