package kv

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Dump lists everything in the file, for comparing two.
func (db *DB) Dump() (lines []string) {
	_ = db.file.Load().bolt.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				lines = append(lines, fmt.Sprintf("%x %x %x", name, k, v))
				return nil
			})
		})
	})
	return lines
}

// SetTestHook has f called at named points of Apply.
func (db *DB) SetTestHook(f func(point string)) { db.testHook = f }

// SetTestPlan has f pick among the plans of each query.
func (db *DB) SetTestPlan(f func(n int) int) { db.testPlan = f }

// Bolt is the file underneath, for damaging it.
func (db *DB) Bolt() *bolt.DB { return db.file.Load().bolt }

// Checkpoint does what relaxed durability does now and then.
func (db *DB) Checkpoint() error { return db.checkpoint() }

// ParseHead reads the text of a head file, and writes it again.
func ParseHead(text []byte) ([]byte, error) {
	h, err := parseHead(text)
	if err != nil {
		return nil, err
	}
	return h.encode(), nil
}

// NoSync stops syncing, which the tests of what is written need not wait for.
func (db *DB) NoSync() {
	db.applyMu.Lock()
	defer db.applyMu.Unlock()
	db.Bolt().NoSync = true
}
