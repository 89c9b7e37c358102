package project

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// MaxOverlap is how long a signing key may still be good once another one signs: no access token lives longer.
const MaxOverlap = auth.MaxAccessLifetime

// storedTokens is the shape of SettingTokens.
type storedTokens struct {
	Keys []storedTokenKey `json:"keys"` // the first one signs
	// Base is the secret from which the keys for cursors and addresses are derived; empty: that of the first key. It is not rotated with it, so
	// that a rotation breaks no list that somebody is paging through and no link that was sent.
	Base []byte `json:"base,omitempty"`
}

type storedTokenKey struct {
	ID      string `json:"id"`
	Secret  []byte `json:"secret"` // base64 in JSON
	Created int64  `json:"created,omitempty"`
	Until   int64  `json:"until,omitempty"` // Unix seconds, of one that no longer signs
}

// base is what cursors and addresses are signed with.
func (st *storedTokens) base() []byte {
	if len(st.Base) > 0 {
		return st.Base
	}
	return st.Keys[0].Secret
}

// SigningKeyInfo is what may be told about a signing key.
type SigningKeyInfo struct {
	ID      string     `json:"kid"`
	Signs   bool       `json:"signs"` // new tokens; the others only verify
	Created *time.Time `json:"created,omitempty"`
	Until   *time.Time `json:"until,omitempty"` // tokens of this key are no good afterwards
}

// readTokens reads the signing keys and their revision.
func (p *Project) readTokens() (st storedTokens, rev uint64, err error) {
	snap, err := p.DB.Snapshot()
	if err != nil {
		return st, 0, err
	}
	defer snap.Close()
	raw, rev, ok := snap.Setting(SettingTokens)
	if !ok {
		return st, 0, fmt.Errorf("project: the file holds no signing keys")
	}
	return st, rev, json.Unmarshal(raw, &st)
}

// SigningKeys lists the keys that are good at now, the one that signs first.
func (p *Project) SigningKeys(now time.Time) ([]SigningKeyInfo, error) {
	st, _, err := p.readTokens()
	if err != nil {
		return nil, err
	}
	st.drop(now)
	list := make([]SigningKeyInfo, len(st.Keys))
	for i, k := range st.Keys {
		list[i] = SigningKeyInfo{ID: k.ID, Signs: i == 0}
		if k.Created > 0 {
			t := time.Unix(k.Created, 0).UTC()
			list[i].Created = &t
		}
		if k.Until > 0 {
			t := time.Unix(k.Until, 0).UTC()
			list[i].Until = &t
		}
	}
	return list, nil
}

// drop forgets the keys that are no good any more.
func (st *storedTokens) drop(now time.Time) {
	st.Keys = slices.DeleteFunc(st.Keys, func(k storedTokenKey) bool { return k.Until > 0 && k.Until <= now.Unix() })
}

// RotateTokens makes a new key sign the project's access tokens. Those of the present one are good for overlap still, those of older ones no longer than
// they would have been. Without an overlap the old secret counts as known to others: nothing that was signed with it is good from now on,
// cursors and addresses of files included; users get their next token by a refresh. entry is completed and stored in the same commit.
func (r *Registry) RotateTokens(ctx context.Context, p *Project, overlap time.Duration, entry AuditEntry) (kid string, err error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", fmt.Errorf("project: an overlap of %s is not allowed", overlap)
	}
	if p.broken != nil {
		return "", ErrBroken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	st, rev, err := p.readTokens()
	if err != nil {
		return "", err
	}
	now := r.now()
	next := storedTokenKey{ID: nextKeyID(st.Keys), Secret: make([]byte, auth.MinSigningSecret), Created: now.Unix()}
	if _, err := io.ReadFull(r.rand, next.Secret); err != nil {
		return "", err
	}
	st.Base = st.base()
	if overlap == 0 {
		st.Base, st.Keys = nil, nil
	}
	st.drop(now)
	for i := range st.Keys {
		if until := now.Add(overlap).Unix(); st.Keys[i].Until == 0 || st.Keys[i].Until > until {
			st.Keys[i].Until = until
		}
	}
	st.Keys = append([]storedTokenKey{next}, st.Keys...)
	raw, err := json.Marshal(st)
	if err != nil {
		return "", err
	}
	old := p.State()
	state := *old
	if err := state.setTokens(p.ID, raw); err != nil {
		return "", err
	}
	b, err := r.newBatch()
	if err != nil {
		return "", err
	}
	b.Needs = []kv.Need{{Kind: kv.NeedSetting, Name: SettingTokens, Rev: rev}}
	b.Ops = []kv.Op{{Kind: kv.OpSetting, Name: SettingTokens, Value: raw}}
	entry.Time, entry.Kind = now, AuditKeyRotated
	entry.Detail = append(entry.Detail, "kid", next.ID, "overlap", overlap.String())
	entry.Put(b, p.DB.NewID(now), old.Config)
	return next.ID, p.change(ctx, b, func(uint64) *State { return &state })
}

// nextKeyID counts on from the highest k-number there is.
func nextKeyID(keys []storedTokenKey) string {
	top := 0
	for _, k := range keys {
		if n, err := strconv.Atoi(strings.TrimPrefix(k.ID, "k")); err == nil {
			top = max(top, n)
		}
	}
	return "k" + strconv.Itoa(top+1)
}

// setTokens fills what the project's secrets are for: access tokens, and the keys that sign cursors and addresses.
func (s *State) setTokens(projectID string, raw []byte) (err error) {
	var st storedTokens
	if err := json.Unmarshal(raw, &st); err != nil {
		return fmt.Errorf("read setting %s: %w", SettingTokens, err)
	}
	keys := make([]auth.SigningKey, len(st.Keys))
	for i, k := range st.Keys {
		keys[i] = auth.SigningKey{ID: k.ID, Secret: k.Secret, Until: k.Until}
	}
	if s.Tokens, err = auth.NewTokens(projectID, keys...); err != nil {
		return err
	}
	s.CursorKey, s.FileKey = deriveKey(st.base(), "sluice list cursor"), deriveKey(st.base(), "sluice file address")
	return nil
}

// deriveKey makes a key for one purpose, from which the secret and the keys for others cannot be found.
func deriveKey(secret []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}
