package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/valyala/fasthttp"

	"github.com/sluice-edge/sluice/bench/process"
	"github.com/sluice-edge/sluice/hooks"
)

// helloArgument makes this binary the server of the rows over HTTP.
const helloArgument = "serve-hello"

// helloOrder is what the server is told, as JSON in its second argument.
type helloOrder struct {
	Addr   string            `json:"addr"`
	Guests map[string]string `json:"guests"` // files by the path that asks them
	Cache  string            `json:"cache"`
}

func startHello(ctx context.Context, guests map[string]string, cache string) (*process.Server, error) {
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(helloOrder{addr, guests, cache})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return process.Start(ctx, exec.CommandContext(ctx, self, helloArgument, string(order)), addr, []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n"))
}

// serveHello greets at /, and at the path of a guest when that has said yes. As in a node the guest is put back when the answer has
// gone to whoever writes it, by somebody whom the caller does not wait for, unless that one is busy.
func serveHello(text string) error {
	var order helloOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	bundles := map[string]*hooks.Bundle{}
	for name, path := range order.Guests {
		guest, err := loadGuest(ctx, path, order.Cache)
		if err != nil {
			return err
		}
		defer func() { _ = guest.Close() }()
		bundles["/"+name] = guest.bundle
	}
	ended := make(chan *hooks.Session, 64)
	go func() {
		for s := range ended {
			s.End()
		}
	}()
	e := event(document)
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		if bundle := bundles[string(ctx.Path())]; bundle != nil {
			if err := askGuest(bundle, *e, ended); err != nil {
				ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
				return
			}
		}
		ctx.SetBodyString("Hello, world!")
	}}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown()
	}()
	err := server.ListenAndServe(order.Addr)
	close(ended)
	return err
}

func askGuest(bundle *hooks.Bundle, e hooks.Event, ended chan<- *hooks.Session) error {
	session, ok := bundle.Session(nil)
	if !ok {
		return errors.New("the bundle is closed")
	}
	d, err := session.Policy(context.Background(), &e)
	select {
	case ended <- session:
	default:
		session.End()
	}
	if err == nil && !d.Allow {
		err = errors.New("the guest says no")
	}
	return err
}
