package project

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// ApplyOptions say how far an Apply may go.
type ApplyOptions struct {
	DryRun bool // say what would change and change nothing
	Prune  bool // drop collections that the file no longer names even when they hold documents
}

// Applied is what an Apply did, or with DryRun would do. The keys are set only when a project was created: they are
// shown this once and stored as hashes.
type Applied struct {
	ID             string // empty on the dry run of a creation
	Name           string
	Created        bool
	Changes        []Change
	PublishableKey auth.Secret
	SecretKey      auth.Secret
}

// DropError is returned by an Apply without Prune that would drop collections which hold documents.
type DropError struct{ Collections []string }

func (e *DropError) Error() string {
	return "these collections hold documents and are not in the file: " + strings.Join(e.Collections, ", ") +
		"; put them back, or apply with --prune to drop them and their documents for good"
}

// Apply creates the project that cfg names, or makes the existing one equal to cfg. It is idempotent: a second Apply of
// the same file changes nothing. cfg is normalised in place. Errors: *ConfigError, *DropError, *kv.UniqueError when a
// new unique field meets duplicates, and kv's.
func (r *Registry) Apply(ctx context.Context, cfg *Config, opt ApplyOptions) (*Applied, error) {
	cfg.Normalize()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := cfg.Mail.complete(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.Find(cfg.Name)
	if err != nil {
		return r.create(ctx, cfg, opt)
	}
	return r.update(ctx, p, cfg, opt)
}

// create makes a project: its own file first, then the directory entry with the hashes of its keys. A crash between the
// two leaves a file that nothing refers to and no key opens.
func (r *Registry) create(ctx context.Context, cfg *Config, opt ApplyOptions) (*Applied, error) {
	done := &Applied{Name: cfg.Name, Created: true, Changes: Diff(nil, cfg), ID: ""}
	if opt.DryRun {
		return done, nil
	}
	now := r.now()
	done.ID = r.control.NewID(now).String()
	var err error
	if done.PublishableKey, err = auth.NewKey(r.rand, auth.RolePublishable); err != nil {
		return nil, err
	}
	if done.SecretKey, err = auth.NewKey(r.rand, auth.RoleSecret); err != nil {
		return nil, err
	}
	if err := r.createFile(ctx, done.ID, cfg); err != nil {
		return nil, err
	}
	if err := r.register(ctx, done, now); err != nil {
		return nil, err
	}
	p, err := r.openProject(ctx, done.ID)
	if err != nil {
		return nil, err
	}
	r.publish(p, "", map[auth.Role]auth.Secret{auth.RolePublishable: done.PublishableKey, auth.RoleSecret: done.SecretKey})
	return done, nil
}

// createFile makes the project's own file with its first commit.
func (r *Registry) createFile(ctx context.Context, id string, cfg *Config) error {
	db, err := kv.Open(filepath.Join(r.dir, "projects", id), r.kvOptions())
	if err != nil {
		return err
	}
	defer db.Close()
	b, err := r.newBatch()
	if err != nil {
		return err
	}
	secret := make([]byte, auth.MinSigningSecret)
	if _, err := io.ReadFull(r.rand, secret); err != nil {
		return err
	}
	tokens, err := json.Marshal(storedTokens{Keys: []storedTokenKey{{ID: "k1", Secret: secret, Created: r.now().Unix()}}})
	if err != nil {
		return err
	}
	if err := addConfig(b, nil, cfg); err != nil {
		return err
	}
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpSetting, Name: SettingTokens, Value: tokens})
	if _, err = db.Commit(ctx, b); err != nil {
		return err
	}
	return db.Close()
}

// register enters a new project and its two keys into the control project, in one commit.
func (r *Registry) register(ctx context.Context, a *Applied, now time.Time) error {
	b, err := r.newBatch()
	if err != nil {
		return err
	}
	created := Timestamp(now)
	id, _ := kv.ParseDocID(a.ID)
	if err := addDocument(b, controlProjects, id, controlProject{ID: a.ID, Name: a.Name, CreatedAt: created}); err != nil {
		return err
	}
	for _, key := range []auth.Secret{a.PublishableKey, a.SecretKey} {
		role, _ := auth.ParseRole(key.Reveal())
		hash := auth.HashKey([]byte(key.Reveal()))
		kid := r.control.NewID(now)
		doc := controlKey{ID: kid.String(), Project: a.ID, Role: role.String(), Hash: hex.EncodeToString(hash[:]), CreatedAt: created}
		if err := addDocument(b, controlKeys, kid, doc); err != nil {
			return err
		}
	}
	_, err = r.control.Commit(ctx, b)
	return err
}

// addDocument puts a new document of the control project into the batch.
func addDocument(b *kv.Batch, collection string, id kv.DocID, doc any) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedDoc, Collection: collection, ID: id})
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpPut, Collection: collection, ID: id, Value: raw})
	return nil
}

// update makes an existing project equal to cfg.
func (r *Registry) update(ctx context.Context, p *Project, cfg *Config, opt ApplyOptions) (*Applied, error) {
	if p.broken != nil {
		return nil, ErrBroken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.State()
	done := &Applied{ID: p.ID, Name: cfg.Name, Changes: Diff(old.Config, cfg)}
	if len(done.Changes) == 0 {
		return done, nil
	}
	if !opt.Prune {
		if err := p.refuseDrops(old.Config, cfg); err != nil {
			return nil, err
		}
	}
	if opt.DryRun {
		return done, nil
	}
	b, err := r.newBatch()
	if err != nil {
		return nil, err
	}
	b.Needs = []kv.Need{{Kind: kv.NeedSetting, Name: SettingConfig, Rev: old.ConfigRev}}
	if err := addConfig(b, old.Config, cfg); err != nil {
		return nil, err
	}
	err = p.change(ctx, b, func(rev uint64) *State {
		next := *old
		next.setConfig(cfg, rev)
		return &next
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// refuseDrops returns a *DropError when cfg no longer names a collection that holds documents.
func (p *Project) refuseDrops(old, cfg *Config) error {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	var full []string
	for i := range old.Collections {
		name := old.Collections[i].Name
		if cfg.Collection(name) != nil {
			continue
		}
		c, ok := snap.Collection(name)
		if !ok {
			continue
		}
		st, err := snap.State(c)
		if err != nil {
			return err
		}
		if st.Documents > 0 {
			full = append(full, name)
		}
	}
	if full != nil {
		return &DropError{Collections: full}
	}
	return nil
}

// addConfig puts into the batch what turns the file's rules from old (nil: none yet) into cfg.
func addConfig(b *kv.Batch, old, cfg *Config) error {
	raw, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpSetting, Name: SettingConfig, Value: raw})
	for _, set := range []struct {
		name  string
		value int64 // 0: the setting is dropped
	}{{settingMaxBytes, cfg.Limits.DatabaseBytes}, {settingMaxFile, cfg.Limits.FileBytes}, {settingSyncMillis, int64(cfg.SyncMillis)}} {
		op := kv.Op{Kind: kv.OpSetting, Name: set.name}
		if set.value > 0 {
			op.Value = strconv.AppendInt(nil, set.value, 10)
		}
		b.Ops = append(b.Ops, op)
	}

	before := map[string][]byte{}
	if old != nil {
		for i := range old.Collections {
			before[old.Collections[i].Name] = old.Collections[i].indexes()
		}
	}
	for i := range cfg.Collections {
		c := &cfg.Collections[i]
		def := c.indexes()
		if was, ok := before[c.Name]; !ok || string(was) != string(def) {
			b.Ops = append(b.Ops, kv.Op{Kind: kv.OpCollection, Name: c.Name, Value: def})
		}
		delete(before, c.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpDropCollection, Name: name})
	}
	return nil
}

// publish makes an opened project findable by its keys, id and name. oldName is the name that it gave up, if any.
func (r *Registry) publish(p *Project, oldName string, keys map[auth.Role]auth.Secret) {
	was := r.view.Load()
	v := &view{byKey: maps.Clone(was.byKey), byID: maps.Clone(was.byID), byName: maps.Clone(was.byName)}
	if oldName != "" {
		delete(v.byName, oldName)
	}
	v.byID[p.ID], v.byName[p.Name()] = p, p
	for role, key := range keys {
		v.byKey[auth.HashKey([]byte(key.Reveal()))] = keyEntry{p, role}
	}
	r.view.Store(v)
}

// storedIndex and storedDefinition are kv's definition of a collection.
type storedIndex struct {
	Name   string   `json:"name"`
	Fields []string `json:"fields"`
	Unique bool     `json:"unique,omitempty"`
}

type storedDefinition struct {
	Indexes []storedIndex `json:"indexes"`
}

func uniqueIndex(field string) storedIndex {
	return storedIndex{Name: field, Fields: []string{field}, Unique: true}
}

func orderedIndex(fields ...string) storedIndex {
	return storedIndex{Name: strings.Join(fields, ","), Fields: fields}
}

func indexDefinition(indexes ...storedIndex) []byte {
	raw, err := json.Marshal(storedDefinition{Indexes: indexes})
	if err != nil { // strings and booleans always marshal
		panic(fmt.Sprintf("project: marshal index definition: %v", err))
	}
	return raw
}

// indexes is the collection's definition for kv: a unique index for each unique field, ordered ones for what is declared
// and for what the server itself asks for. The e-mail of `users` is always unique, declared so or not, or two accounts
// could share a login; its user name is looked up by every public profile. The owner of a private collection joins every
// query on it, so without an index a user's own few documents would be searched for among everybody's; an owner that is named in custom
// mode is what a filter will ask for.
func (c *Collection) indexes() []byte {
	list := []storedIndex{}
	add := func(x storedIndex) {
		for _, have := range list {
			if have.Name == x.Name {
				return
			}
		}
		list = append(list, x)
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		if f.Unique || c.Name == Users && f.Key == IndexEmail {
			add(uniqueIndex(f.Key))
		}
	}
	if c.Name == Users {
		add(orderedIndex(fieldUsername))
	}
	if c.RLS.Enabled && (c.RLS.Mode == ModePrivate || c.RLS.Mode == ModeCustom && c.RLS.OwnerField != "") {
		add(orderedIndex(c.RLS.OwnerField))
	}
	for i := range c.Fields {
		if c.Fields[i].Index {
			add(orderedIndex(c.Fields[i].Key))
		}
	}
	for _, fields := range c.Indexes {
		add(orderedIndex(fields...))
	}
	return indexDefinition(list...)
}

// Timestamp is a time as documents hold it: UTC, milliseconds, RFC 3339.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
