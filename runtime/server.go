package runtime

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/blobs/disk"
	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/deliver"
	"github.com/sluice-edge/sluice/runtime/project"
	"github.com/sluice-edge/sluice/runtime/social"
	"github.com/sluice-edge/sluice/runtime/throttle"
)

// writeBuffer is how much of an answer a connection gathers before it is sent. Twenty documents of the usual size fit in:
// what does not is sent in two pieces, which wakes the client twice and costs a tenth of a list. Each connection keeps one.
const writeBuffer = 16 << 10

// Options configure a Server. Only Dir is required.
type Options struct {
	Dir       string           // data directory, created when missing
	Addr      string           // public listener, default 127.0.0.1:8090; port 0 picks a free one
	AdminAddr string           // admin listener, default 127.0.0.1:8091
	Logger    *slog.Logger     // default slog.Default()
	AccessLog io.Writer        // one JSON line a request; nil: none
	Now       func() time.Time // default time.Now
	CacheDir  string           // compiled guests, default Dir/cache/wasm; holds native code, so it must be the server's own

	// PublicURL is where apps reach the public listener, such as https://api.example.com; default: its address.
	PublicURL string

	// Blobs opens where the bytes of a project's files are; default: Dir/projects/<id>/blobs. FileProvider is what the
	// storage API calls it: internal, the default, or external.
	Blobs        func(projectID string) (blobs.Backend, error)
	FileProvider string

	BodyBytes   int           // largest JSON body, inclusive, default 1 MiB
	HeaderBytes int           // largest request line and headers together, default 16 KiB
	Connections int           // concurrent connections, default 16,384
	Timeout     time.Duration // for receiving a request, and again for answering it, default 30s
	IdleTimeout time.Duration // of a kept-alive connection, default 60s
	DrainTime   time.Duration // for requests in flight at the end, default 10s

	Carrier        deliver.Carrier // of mail; default one that keeps mails as files in Dir/outbox
	HoldMail       bool            // mails wait in their outboxes: for a copy of a node, whose original sends them
	MailFrom       string          // who mails are from in projects that do not say, default sluice <no-reply@localhost>
	Backups        BackupSchedule
	TLS            *tls.Config         // of the public listener; nil: none, for a proxy in front or a machine of one's own
	TrustedProxies []netip.Prefix      // whose X-Forwarded-For and X-Forwarded-Proto are believed, default nobody's
	Getenv         func(string) string // where secrets are that projects name as env:SLUICE_SECRET_…, default none

	KV   kv.Options    // for the projects' files
	Host hooks.Options // for guests; Logger and CacheDir are filled in
}

func (o *Options) withDefaults() {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&o.Addr, "127.0.0.1:8090")
	set(&o.AdminAddr, "127.0.0.1:8091")
	set(&o.MailFrom, "sluice <no-reply@localhost>")
	set(&o.CacheDir, filepath.Join(o.Dir, "cache", "wasm"))
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	set(&o.FileProvider, "internal")
	if o.Blobs == nil {
		o.Blobs = func(projectID string) (blobs.Backend, error) {
			return disk.Open(filepath.Join(o.Dir, "projects", projectID, "blobs"), disk.Options{})
		}
	}
	o.PublicURL = strings.TrimRight(o.PublicURL, "/")
	if o.BodyBytes == 0 {
		o.BodyBytes = 1 << 20
	}
	if o.HeaderBytes == 0 {
		o.HeaderBytes = 16 << 10
	}
	if o.Connections == 0 {
		o.Connections = 16 << 10
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Minute
	}
	if o.DrainTime == 0 {
		o.DrainTime = 10 * time.Second
	}
}

// Server is one node: a data directory, its projects and two listeners.
type Server struct {
	opt      Options
	log      *slog.Logger
	now      func() time.Time
	lock     *dirLock
	host     *hooks.Host
	registry *project.Registry
	post     *deliver.Post
	hasher   *auth.Hasher
	access   *accessLog
	social   *social.Clients
	limits   *throttle.Table // of requests and refreshes, by address and the like

	adminToken auth.Secret
	public     *listener
	admin      *listener
	routes     []route    // of the public listener
	data       dataRoutes // those of them that are found by hand
	files      map[string]*route
	fileCache  *fileCache
	requests   sync.Pool // of *request
	bodies     bodyBuffers
	requestIDs requestIDs
	tagSeed    maphash.Seed // of the entity tags that are made from answers
	backups    backups
	draining   atomic.Bool
	stopping   context.Context // ends when draining begins
	stop       context.CancelFunc
	guestFails seldom
	proxyHint  sync.Once
	ended      chan *hooks.Session // of requests that were answered; taken by one goroutine
	allEnded   chan struct{}       // closed when it takes no more
}

// listener is one of the two doors.
type listener struct {
	net.Listener
	server *fasthttp.Server
}

// Open takes the data directory, opens its projects and binds both listeners, but serves nothing yet. A directory that
// another process holds is refused with that process named.
func Open(ctx context.Context, opt Options) (*Server, error) {
	if opt.Dir == "" {
		return nil, errors.New("runtime: no data directory")
	}
	opt.withDefaults()
	s := &Server{tagSeed: maphash.MakeSeed(), opt: opt, log: opt.Logger, now: opt.Now, hasher: auth.NewHasher(auth.HasherOptions{}), limits: throttle.New(limitedKeys), social: social.NewClients(social.Options{Now: opt.Now})}
	s.stopping, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.ended, s.allEnded = make(chan *hooks.Session), make(chan struct{})
	go s.endSessions()
	s.routes = publicRoutes()
	s.data, s.files = newDataRoutes(s.routes), fileRoutes(s.routes)
	s.fileCache = newFileCache(fileCacheMost)
	s.requests.New = func() any { return newRequest(s) }
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	if err := os.MkdirAll(s.opt.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if s.lock, err = lockDir(s.opt.Dir); err != nil {
		return err
	}
	if s.adminToken, err = loadAdminToken(s.opt.Dir); err != nil {
		return err
	}
	if err := s.requestIDs.seed(); err != nil {
		return err
	}
	s.access = newAccessLog(s.opt.AccessLog)
	hostOptions := s.opt.Host
	hostOptions.Logger, hostOptions.CacheDir = s.log, s.opt.CacheDir
	if s.host, err = hooks.NewHost(ctx, hostOptions); err != nil {
		return fmt.Errorf("start the guest host: %w", err)
	}
	s.log.Debug("guest host started", "isolation", s.host.Isolation())
	secret, err := loadNodeSecret(s.opt.Dir)
	if err != nil {
		return err
	}
	s.registry, err = project.OpenRegistry(ctx, s.opt.Dir, s.host, project.Options{Logger: s.log, Now: s.now, KV: s.opt.KV, Secret: secret, Blobs: s.opt.Blobs})
	if err != nil {
		return err
	}
	if err := s.startPost(ctx); err != nil {
		return err
	}
	if s.public, err = s.listen(s.opt.Addr, s.publicHandler(), s.opt.BodyBytes); err != nil {
		return fmt.Errorf("public listener: %w", err)
	}
	if s.opt.TLS != nil {
		s.public.Listener = tls.NewListener(s.public.Listener, s.opt.TLS)
	}
	s.public.server.StreamRequestBody, s.public.server.MaxRequestBodySize = true, 1 // see body.go: fasthttp shall read nothing ahead
	if s.admin, err = s.listen(s.opt.AdminAddr, s.adminHandler(), maxAdminBody); err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	return writeAdminURL(s.opt.Dir, s.AdminURL())
}

func (s *Server) listen(addr string, handler fasthttp.RequestHandler, maxBody int) (*listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &listener{&boundedListener{Listener: ln, limit: int64(s.opt.Connections)}, &fasthttp.Server{
		Handler:                      handler,
		ErrorHandler:                 s.refuseConnection,
		Name:                         "sluice",
		Concurrency:                  2 * s.opt.Connections, // the listener's own limit comes first
		ReadBufferSize:               s.opt.HeaderBytes,
		WriteBufferSize:              writeBuffer,
		MaxRequestBodySize:           maxBody,
		ReadTimeout:                  s.opt.Timeout,
		WriteTimeout:                 s.opt.Timeout,
		IdleTimeout:                  s.opt.IdleTimeout,
		CloseOnShutdown:              true,
		NoDefaultServerHeader:        true,
		DisablePreParseMultipartForm: true, // a body is parsed where it is wanted, within that place's limits
		SecureErrorLogMessage:        true, // the default prints raw request bytes, keys and tokens among them
		Logger:                       serverLog{s.log},
	}}, nil
}

// serverLog gives fasthttp's own messages a place in the log.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...), "source", "fasthttp")
}

// PublicURL is the base URL of the public listener, as apps use it.
func (s *Server) PublicURL() string {
	if s.opt.TLS != nil {
		return "https://" + s.public.Addr().String()
	}
	return "http://" + s.public.Addr().String()
}

// AdminURL is the base URL of the admin listener.
func (s *Server) AdminURL() string { return "http://" + s.admin.Addr().String() }

// AdminToken is the bearer token of the admin API, which also lies in Dir/admin-token.
func (s *Server) AdminToken() auth.Secret { return s.adminToken }

// Registry gives the node's projects to whoever runs in the same process.
func (s *Server) Registry() *project.Registry { return s.registry }

// Serve answers requests until ctx ends, then stops accepting, lets what is in flight finish within DrainTime and
// returns. It returns early when a listener fails.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 2)
	for _, l := range []*listener{s.public, s.admin} {
		go func() { failed <- l.server.Serve(l.Listener) }()
	}
	var background sync.WaitGroup
	if s.opt.Backups.Dir != "" {
		background.Go(func() { s.backUpOnSchedule(s.stopping) })
	}
	// The listeners are bound: nobody waits for this.
	background.Go(func() {
		if err := s.host.WarmScripts(s.stopping); err != nil && s.stopping.Err() == nil {
			s.log.Warn("scripts are not warm: the first one that is deployed waits for their engine", "error", err)
		}
	})
	defer background.Wait()
	defer s.stop()
	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	s.draining.Store(true)
	s.stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.DrainTime)
	defer cancel()
	err := errors.Join(s.public.server.ShutdownWithContext(drain), s.admin.server.ShutdownWithContext(drain))
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("requests were still running after %s", s.opt.DrainTime)
	}
	return err
}

// Close releases everything that Open took. Call it after Serve has returned.
func (s *Server) Close() error {
	s.stop()
	<-s.allEnded
	ctx := context.Background()
	var errs []error
	for _, l := range []*listener{s.public, s.admin} {
		if l != nil {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if s.post != nil {
		s.closePost(ctx)
	}
	if s.registry != nil {
		errs = append(errs, s.registry.Close(ctx))
	}
	if s.host != nil {
		errs = append(errs, s.host.Close(ctx))
	}
	if s.access != nil {
		errs = append(errs, s.access.Close())
	}
	if s.lock != nil {
		if err := os.Remove(filepath.Join(s.opt.Dir, adminURLFile)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
