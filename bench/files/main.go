// Command files measures how a node serves stored files, beside nginx with the same files.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/sluice-edge/sluice/bench/figure"
	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/node"
	"github.com/sluice-edge/sluice/bench/process"
)

const help = `files serves the same files from a node and from nginx, which take turns, and prints the ratio of requests a second.

  cd bench && go run ./files                          half a minute
  cd bench && go run ./files -rounds 3 -seconds 0.5   a quick look

nginx is what Debian has (apt-get install nginx-light), with sendfile, a worker a core and its access log on, as the node has
its own. Each file was stored by an upload; both sides read it from the page cache. The node finds its record, judges who may fetch it
and sends it as the contract says; nginx opens a file. The load is made by this process over keep-alive connections on
loopback, on the same cores. Needs Linux.

Flags:
`

type options struct {
	rounds, connections int
	seconds             float64
	nginx, lock         string
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (opt options, err error) {
	flags := flag.NewFlagSet("files", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&opt.rounds, "rounds", 5, "slices a side")
	flags.IntVar(&opt.connections, "connections", 32, "connections")
	flags.Float64Var(&opt.seconds, "seconds", 1, "of a slice")
	flags.StringVar(&opt.nginx, "nginx", "nginx", "the nginx to run")
	flags.StringVar(&opt.lock, "lock", "", "a file to lock while measuring, so that others wait")
	flags.Usage = func() { fmt.Fprint(stderr, help); flags.PrintDefaults() }
	if err := flags.Parse(args); err != nil {
		return opt, err
	}
	if flags.NArg() > 0 || opt.rounds < 1 || opt.connections < 1 || opt.seconds <= 0 {
		return opt, errors.New("see -help")
	}
	return opt, nil
}

func run(args []string, stdout, stderr io.Writer) error {
	opt, err := parse(args, stderr)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "sluice-files-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	fmt.Fprintln(stderr, "building the node")
	binary, err := node.Build(ctx, dir)
	if err != nil {
		return err
	}
	rows, err := measure(ctx, opt, dir, binary, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s · %s\nsluice %s, medians of %d rounds of %v s, %d connections\n\n", time.Now().Format(time.DateOnly), figure.Machine(), binary.Commit(), opt.rounds, opt.seconds, opt.connections)
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "FILE\tSLUICE REQ/S\tNGINX REQ/S\tRATIO\tSLUICE P99 ms\tNGINX P99 ms\tFOREIGN %\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.2f\t%s\t%s\t%.0f\t\n", r.name, figure.Text(r.ours), figure.Text(r.theirs), r.ratio, figure.Text(r.ourP99), figure.Text(r.theirP99), 100*r.foreign)
	}
	return w.Flush()
}

// files are what is fetched.
var files = []struct {
	name string
	size int
}{{"1 KB", 1_000}, {"10 KB", 10_000}, {"100 KB", 100_000}, {"1 MB", 1_000_000}}

type row struct {
	name                string
	ours, theirs, ratio float64
	ourP99, theirP99    float64
	foreign             float64
}

func measure(ctx context.Context, opt options, dir string, binary *node.Binary, stderr io.Writer) ([]row, error) {
	data, root := filepath.Join(dir, "data"), filepath.Join(dir, "root")
	p, err := binary.Create(ctx, data)
	if err != nil {
		return nil, err
	}
	sluice, err := binary.Start(ctx, data, p)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sluice.Kill() }()
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	paths := make([]string, len(files))
	for i, f := range files {
		contents := bytes.Repeat([]byte("0123456789abcdefghij"), f.size/20)
		if err := os.WriteFile(filepath.Join(root, fmt.Sprint(i)), contents, 0o644); err != nil {
			return nil, err
		}
		if paths[i], err = store(sluice.Addr, p.Secret, contents); err != nil {
			return nil, err
		}
	}
	nginx, err := startNginx(ctx, opt.nginx, dir, root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = nginx.Stop() }()
	unlock, err := figure.Lock(opt.lock)
	if err != nil {
		return nil, err
	}
	defer unlock()

	rows := make([]row, len(files))
	for i, f := range files {
		fmt.Fprintln(stderr, "measuring", f.name)
		var ours, theirs, ratios, ourP99, theirP99, foreign []float64
		slice := func(s *process.Server, path string) (*figure.Slice, error) {
			request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, s.Addr)
			return figure.Take(s, load.Run{Connections: opt.connections, Duration: time.Duration(opt.seconds * float64(time.Second)), Status: 200,
				Requests: func(int) load.Requests { return func(dst []byte) []byte { return append(dst, request...) } }})
		}
		for range opt.rounds {
			a, err := slice(sluice, paths[i])
			if err != nil {
				return nil, err
			}
			b, err := slice(nginx, fmt.Sprintf("/%d", i))
			if err != nil {
				return nil, err
			}
			ours, theirs, ratios = append(ours, a.Rate), append(theirs, b.Rate), append(ratios, a.Rate/b.Rate)
			ourP99, theirP99 = append(ourP99, figure.Millis(a.P99)), append(theirP99, figure.Millis(b.P99))
			foreign = append(foreign, a.Foreign) // of nginx only one process of several is known
		}
		rows[i] = row{f.name, figure.Median(ours), figure.Median(theirs), figure.Median(ratios), figure.Median(ourP99), figure.Median(theirP99), figure.Median(foreign)}
	}
	return rows, nil
}

// store uploads a file and returns the path of its address.
func store(addr, key string, contents []byte) (string, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "file.txt")
	if err != nil {
		return "", err
	}
	_, _ = part.Write(contents)
	_ = form.Close()
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/api/storage/upload", &body)
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("x-api-key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var stored struct{ URL string }
	if err := json.Unmarshal(raw, &stored); err != nil || resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("upload: %s: %s", resp.Status, raw)
	}
	u, err := url.Parse(stored.URL)
	if err != nil {
		return "", err
	}
	return u.EscapedPath(), nil
}

// startNginx serves root, with what it writes below dir.
func startNginx(ctx context.Context, path, dir, root string) (*process.Server, error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; pid %[1]s/nginx.pid; error_log stderr; worker_processes auto; user root;
events { worker_connections 1024; }
http {
  access_log %[1]s/nginx.log; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type text/plain;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen %[2]s; root %[3]s; }
}
`, dir, addr, root)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s, err := process.Start(ctx, exec.CommandContext(ctx, path, "-c", conf, "-e", "stderr"), addr, []byte("GET /0 HTTP/1.1\r\nHost: x\r\n\r\n"))
	if err != nil {
		return nil, fmt.Errorf("nginx (apt-get install nginx-light): %w", err)
	}
	return s, nil
}
