// Package deliver is the room for what leaves the server after a commit: realtime events, webhooks and mail. It will read
// the change log that kv writes with every commit, so that nothing is sent for a write that did not commit, and nothing is
// lost for one that did.
//
// It never delays a caller, and imports kv alone. It holds no code yet: nothing is delivered.
package deliver
