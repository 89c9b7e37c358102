package project

import (
	"context"
	"errors"
	"strings"
)

// ErrExists is returned when a collection of that name, in any case, exists already.
var ErrExists = errors.New("project: the collection exists")

// AddCollection declares one more collection. It is what Apply of the present config with that collection would do.
// Errors: ErrExists, *ConfigError, ErrBroken, and kv's.
func (r *Registry) AddCollection(ctx context.Context, p *Project, c Collection) (*Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.broken != nil {
		return nil, ErrBroken
	}
	cfg := p.State().Config.Clone()
	for i := range cfg.Collections {
		if strings.EqualFold(cfg.Collections[i].Name, c.Name) {
			return nil, ErrExists
		}
	}
	cfg.Collections = append(cfg.Collections, c)
	cfg.Normalize()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if _, err := r.update(ctx, p, cfg, ApplyOptions{}); err != nil {
		return nil, err
	}
	return cfg, nil
}
