package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/sluice-edge/sluice/hooks"
)

// subject is an event in both its forms.
type subject struct {
	event *hooks.Event
	text  []byte
}

func subjectOf(document string) *subject { return &subject{event(document), text(document)} }

// sluice is a guest as a node asks it.
type sluice struct {
	host   *hooks.Host
	bundle *hooks.Bundle
}

func openSluice(ctx context.Context, g *guests, l language) (asker, error) {
	path, err := g.path(ctx, string(l))
	if err != nil {
		return nil, err
	}
	return loadGuest(ctx, path, g.cache())
}

// loadGuest makes a host with one guest.
func loadGuest(ctx context.Context, path, cache string) (*sluice, error) {
	code, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	host, err := hooks.NewHost(ctx, hooks.Options{CacheDir: cache})
	if err != nil {
		return nil, err
	}
	file := filepath.Base(path)
	bundle, err := host.Load(ctx, hooks.Manifest{
		Modules:  []hooks.Module{{Name: "price", File: file}},
		Bindings: []hooks.Binding{{Module: "price", Event: hooks.EventPolicy, Collections: []string{"posts"}}},
	}, map[string][]byte{file: code}, hooks.LoadOptions{})
	if err != nil {
		return nil, errors.Join(err, host.Close(ctx))
	}
	return &sluice{host, bundle}, nil
}

func (s *sluice) Ask(e *subject) (bool, error) {
	d, err := s.bundle.Policy(context.Background(), e.event)
	return d.Allow, err
}

func (s *sluice) Close() error { return s.host.Close(context.Background()) }
