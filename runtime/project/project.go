package project

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
	"github.com/sluice-edge/sluice/runtime/journal"
	"github.com/sluice-edge/sluice/runtime/letter"
)

// Settings of a project's file. A write names them among its needs, so that it cannot commit under replaced rules.
const (
	SettingConfig = "project"
	SettingTokens = "tokens"
	SettingBundle = "bundle"

	settingMaxBytes   = "kv.maxBytes"
	settingMaxFile    = "kv.maxFileBytes"
	settingSyncMillis = "kv.syncMillis"
)

// Users is the collection that holds accounts; Sessions the system collection that holds their refresh sessions. The
// data API reaches neither: names that begin with an underscore are the system's.
const (
	Users       = "users"
	Sessions    = "_sessions"
	Accounts    = "_accounts"    // what the server alone keeps of an account, see Account
	Audit       = "_audit"       // what has happened to accounts, see AuditEntry
	Idempotency = "_idempotency" // answers to requests with an Idempotency-Key
	Codes       = "_codes"       // one-time codes, one document an address
	Outbox      = "_outbox"      // mails on their way
	Throttle    = "_throttle"    // failed logins, by account and by address
	Identities  = "_identities"  // whose account it is that a provider knows
	SocialCodes = "_socialCodes" // codes of logins elsewhere: those that may be used, and those that were
)

// Names of unique indexes that always exist.
const (
	IndexEmail = "email"
	IndexToken = "tokenId"
	IndexKey   = "key"

	fieldUsername = "username"
)

// Project is one project's open handles. Its State is replaced whole, never changed.
type Project struct {
	ID      string
	DB      *kv.DB
	Blobs   *blobs.Store     // the bytes of its files
	Journal *journal.Journal // refusals and guests' lines, for the developer to look at
	Box     *auth.Box        // hashes codes and seals mails
	Usage   Usage            // how often it was asked

	Failures Failures // wrong passwords that the audit log does not hold yet

	dir    string
	broken error // why the project could not be opened; DB is nil then
	state  atomic.Pointer[State]
	mu     sync.Mutex   // one change of rules or bundle at a time
	turn   sync.RWMutex // shared by commits; held alone by a write that was contended for too long

	compaction compaction
	revoked    revoked
	saving     sync.Mutex // one save of Failures at a time
}

// State is everything that decides a request, as of one moment. It is immutable.
type State struct {
	Config    *Config
	ConfigRev uint64 // revision of SettingConfig, for a write's needs
	Domains   *Domains
	Rates     Rates
	Tokens    *auth.Tokens
	CursorKey []byte // signs the cursors of lists
	FileKey   []byte // signs the addresses of files

	Bundle        *hooks.Bundle // nil: none deployed, or BundleErr says why it could not be loaded
	BundleRev     uint64        // revision of SettingBundle, 0 when there is none
	BundleVersion int
	BundleErr     error

	collections map[string]*Collection
	letters     map[string]*letter.Parsed // the templates of mails, by name
	asked       asked
}

// State returns the project's present rules. Load it once a request.
func (p *Project) State() *State { return p.state.Load() }

// Broken returns why the project could not be opened, or nil. A broken project answers nothing, and no other suffers.
func (p *Project) Broken() error { return p.broken }

// Name returns the project's present name.
func (p *Project) Name() string { return p.State().Config.Name }

// Collection returns the declared collection of that exact name, or nil. It does not allocate.
func (s *State) Collection(name []byte) *Collection { return s.collections[string(name)] }

// setConfig fills what derives from the config.
func (s *State) setConfig(cfg *Config, rev uint64) {
	s.Config, s.ConfigRev = cfg, rev
	s.Domains = NewDomains(cfg.AllowedDomains)
	s.Rates = newRates(&cfg.Limits)
	s.collections = make(map[string]*Collection, len(cfg.Collections))
	for i := range cfg.Collections {
		s.collections[cfg.Collections[i].Name] = &cfg.Collections[i]
	}
	s.letters = parseTemplates(&cfg.Mail)
}

// openProject opens the file of an existing project and reads its rules. A bundle that cannot be loaded does not keep
// the project closed: its State says why, and the caller refuses what the bundle would have judged.
func (r *Registry) openProject(ctx context.Context, id string) (*Project, error) {
	p := &Project{ID: id, dir: filepath.Join(r.dir, "projects", id)}
	db, err := kv.Open(p.dir, r.kvOptions())
	if err != nil {
		return nil, fmt.Errorf("project %s: %w", id, err)
	}
	p.DB = db
	if p.Box, err = auth.NewBox(r.secret, id, r.rand); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("project %s: %w", id, err)
	}
	backend, err := r.blobs(id)
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("project %s: its files: %w", id, err)
	}
	p.Blobs = blobs.New(backend, blobs.Options{Now: r.now})
	if p.Journal, err = journal.Open(p.dir, r.now()); err != nil {
		r.log.WarnContext(ctx, "the project's log of decisions begins anew", "project", id, "error", err)
	}
	if err := p.ensureSystem(ctx, r); err != nil {
		_, _ = db.Close(), p.Blobs.Close()
		return nil, fmt.Errorf("project %s: %w", id, err)
	}
	if err := p.load(ctx, r); err != nil {
		_, _ = db.Close(), p.Blobs.Close()
		return nil, fmt.Errorf("project %s: %w", id, err)
	}
	return p, nil
}

// systemCollections are the collections that every project has beside those of its file.
func systemCollections() map[string][]byte {
	return map[string][]byte{
		Sessions:    indexDefinition(uniqueIndex(IndexToken), orderedIndex(fieldExpires), orderedIndex(FieldUserID), orderedIndex(FieldRevokedAt)),
		Accounts:    indexDefinition(orderedIndex(fieldExpires), orderedIndex(FieldChangedAt)),
		Audit:       indexDefinition(orderedIndex(fieldExpires), orderedIndex(FieldUserID)),
		Idempotency: indexDefinition(uniqueIndex(IndexKey), orderedIndex(fieldExpires)),
		Codes:       indexDefinition(uniqueIndex(IndexKey), orderedIndex(fieldExpires)),
		Outbox:      indexDefinition(orderedIndex("state", "next"), orderedIndex(fieldExpires)),
		StoredFiles: indexDefinition(uniqueIndex(IndexFileKey), orderedIndex(IndexFileHash), orderedIndex("name"), orderedIndex("owner")),
		Uploads:     indexDefinition(uniqueIndex(IndexFileKey), orderedIndex(fieldExpires)),
		Throttle:    indexDefinition(orderedIndex(fieldExpires)),
		Identities:  indexDefinition(orderedIndex(FieldUserID)),
		SocialCodes: indexDefinition(orderedIndex(fieldExpires)),
	}
}

// ensureSystem makes the system collections that the project's file does not have yet, and gives those of an older file the indexes
// that they lack.
func (p *Project) ensureSystem(ctx context.Context, r *Registry) error {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return err
	}
	defined := systemCollections()
	for name, def := range defined {
		if c, ok := snap.Collection(name); ok && string(storedIndexes(c)) == string(def) {
			delete(defined, name)
		}
	}
	snap.Close()
	if len(defined) == 0 {
		return nil
	}
	b, err := r.newBatch()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(defined)) {
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpCollection, Name: name, Value: defined[name]})
	}
	_, err = p.DB.Commit(ctx, b)
	return err
}

// storedIndexes is the definition of a collection as the file has it.
func storedIndexes(c *kv.Collection) []byte {
	list := make([]storedIndex, len(c.Indexes))
	for i, x := range c.Indexes {
		list[i] = storedIndex{x.Name, x.Fields, x.Unique}
	}
	return indexDefinition(list...)
}

// load reads the settings into a fresh State.
func (p *Project) load(ctx context.Context, r *Registry) error {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()

	raw, rev, ok := snap.Setting(SettingConfig)
	if !ok {
		return fmt.Errorf("the file holds no project")
	}
	cfg := new(Config)
	if err := json.Unmarshal(raw, cfg); err != nil {
		return fmt.Errorf("read setting %s: %w", SettingConfig, err)
	}
	cfg.Normalize()
	st := new(State)
	st.setConfig(cfg, rev)

	if raw, _, ok = snap.Setting(SettingTokens); !ok {
		return fmt.Errorf("the file holds no signing keys")
	}
	if err := st.setTokens(p.ID, raw); err != nil {
		return err
	}
	if raw, rev, ok := snap.Setting(SettingBundle); ok {
		st.BundleRev = rev
		r.loadBundle(ctx, p, raw, st)
		if st.BundleErr != nil {
			r.log.ErrorContext(ctx, "bundle not loaded; its project refuses writes", "project", p.ID, "error", st.BundleErr)
		}
	}
	if err := p.loadRevoked(ctx, snap, r.now()); err != nil {
		return fmt.Errorf("read what was revoked: %w", err)
	}
	p.state.Store(st)
	return p.loadUsage(snap)
}

// brokenProject stands in for one that could not be opened.
func brokenProject(id, name string, cause error) *Project {
	p := &Project{ID: id, broken: cause}
	st := new(State)
	st.setConfig(&Config{Name: name}, 0)
	p.state.Store(st)
	return p
}

// close ends the project's handles.
func (p *Project) close(ctx context.Context) error {
	if p.broken != nil {
		return nil
	}
	var err error
	if st := p.state.Load(); st != nil && st.Bundle != nil {
		err = st.Bundle.Close(ctx)
	}
	p.compaction.stop()
	return errors.Join(err, p.Journal.Save(), p.Blobs.Close(), p.DB.Close())
}
