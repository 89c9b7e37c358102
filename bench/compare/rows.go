package main

import (
	"slices"
	"strings"
)

// operation is what the load asks for.
type operation int

const (
	opGet operation = iota
	opMe
	opList
	opListPlain // without a total
	opNewest
	opInsert
	opUpdate
	opLogin
)

// sideName names one of those that are compared.
type sideName string

const (
	sluice     sideName = "sluice"
	sluiceGo   sideName = "sluice-go" // with the demo's bundle, whose guest is Go
	sluiceJS   sideName = "sluice-js" // with a hook in JavaScript
	sluiceC    sideName = "sluice-c"  // with the same hook in C
	bareServer sideName = "bare"
	pocketbase sideName = "pocketbase"
	pbDurable  sideName = "pocketbase-durable"
	pbTuned    sideName = "pocketbase-tuned"
	pbHook     sideName = "pocketbase-hook"
	pbHookSync sideName = "pocketbase-hook-durable"
)

// row is a line of the comparison: what is asked of whom, and what should come of it.
type row struct {
	name, what  string
	kind        kind
	op          operation
	connections int
	sides       []sideName // the first one is compared with the others
	targets     []target
}

type kind int

const (
	kindLoad  kind = iota
	kindStart      // starts, after a clean stop
	kindCrash      // starts, after kill -9 while it was written to
)

// measure is what a target is about.
type measure string

const (
	rate  measure = "req/s"
	cpu   measure = "server CPU"
	p99   measure = "p99"
	ready measure = "start"
)

// target is a ratio of the row's first side to another one that should be reached: how many times as many requests, how
// many times less CPU or time. None (0) is one that is told but was not promised.
type target struct {
	of    measure
	to    sideName
	least float64
}

var rows = []row{
	{
		name: "get", what: "GET by id, 32 connections", op: opGet, connections: 32,
		sides:   []sideName{sluice, bareServer, pocketbase},
		targets: []target{{rate, bareServer, 0.7}, {rate, pocketbase, 8}, {cpu, pocketbase, 15}},
	},
	{
		name: "me", what: "GET the account that is logged in, 32 connections; bare: GET by id", op: opMe, connections: 32,
		sides:   []sideName{sluice, bareServer},
		targets: []target{{rate, bareServer, 0.5}, {cpu, bareServer, 0}},
	},
	{
		name: "list", what: "the 20 newest documents of a price, by an index, 32 connections", op: opList, connections: 32,
		sides:   []sideName{sluice, pocketbase},
		targets: []target{{rate, pocketbase, 200}, {cpu, pocketbase, 0}},
	},
	{
		name: "list-plain", what: "the same, nobody being asked for a total", op: opListPlain, connections: 32,
		sides:   []sideName{sluice, pbTuned},
		targets: []target{{rate, pbTuned, 15}, {cpu, pbTuned, 0}},
	},
	{
		name: "newest", what: "the 20 newest documents, 32 connections", op: opNewest, connections: 32,
		sides:   []sideName{sluice, pocketbase, pbTuned},
		targets: []target{{rate, pocketbase, 0}, {rate, pbTuned, 30}, {cpu, pbTuned, 0}},
	},
	{
		name: "insert-1", what: "insert as a user, under the owner rule, 1 connection", op: opInsert, connections: 1,
		sides:   []sideName{sluice, pbDurable, pocketbase},
		targets: []target{{rate, pbDurable, 1.6}, {rate, pocketbase, 1.2}, {cpu, pbDurable, 0}, {cpu, pocketbase, 0}},
	},
	{
		name: "insert", what: "the same, 32 connections", op: opInsert, connections: 32,
		sides:   []sideName{sluice, pbDurable, pocketbase},
		targets: []target{{rate, pbDurable, 8}, {rate, pocketbase, 5.5}, {cpu, pbDurable, 0}, {cpu, pocketbase, 0}},
	},
	{
		name: "insert-128", what: "the same, 128 connections", op: opInsert, connections: 128,
		sides:   []sideName{sluice, pbDurable, pocketbase},
		targets: []target{{rate, pbDurable, 16}, {rate, pocketbase, 10}, {p99, pbDurable, 25}, {cpu, pbDurable, 0}, {cpu, pocketbase, 0}},
	},
	{
		name: "insert-hook", what: "insert with a check and a rewrite in JavaScript, 32 connections", op: opInsert, connections: 32,
		sides:   []sideName{sluiceJS, sluice, pbHookSync, pbHook},
		targets: []target{{rate, pbHookSync, 7}, {rate, pbHook, 0}, {rate, sluice, 0}, {cpu, pbHookSync, 0}, {cpu, sluice, 0}},
	},
	{
		name: "insert-hook-c", what: "the same in C, against an insert without it", op: opInsert, connections: 32,
		sides:   []sideName{sluiceC, sluice},
		targets: []target{{rate, sluice, 0.9}, {cpu, sluice, 0}},
	},
	{
		name: "insert-hook-go", what: "insert with the demo's bundle: a policy and a hook, in Go", op: opInsert, connections: 32,
		sides:   []sideName{sluiceGo, sluice, pbHookSync},
		targets: []target{{rate, pbHookSync, 0}, {rate, sluice, 0}, {cpu, pbHookSync, 0}, {cpu, sluice, 0}},
	},
	{
		name: "update", what: "update a price as the owner, 32 connections", op: opUpdate, connections: 32,
		sides:   []sideName{sluice, pbDurable, pocketbase},
		targets: []target{{rate, pbDurable, 5}, {rate, pocketbase, 3.5}, {cpu, pbDurable, 0}, {cpu, pocketbase, 0}},
	},
	{
		name: "login", what: "log in, 32 connections", op: opLogin, connections: 32,
		sides:   []sideName{sluice, bareServer, pocketbase},
		targets: []target{{rate, bareServer, 0.9}, {rate, pocketbase, 2}},
	},
	{
		name: "start", what: "from the start of the process to its first document, after a clean stop", kind: kindStart, op: opInsert, connections: 32,
		sides:   []sideName{sluice, pocketbase},
		targets: []target{{ready, pocketbase, 0}},
	},
	{
		name: "start-killed", what: "the same after kill -9 under inserts", kind: kindCrash, op: opInsert, connections: 32,
		sides:   []sideName{sluice, pocketbase},
		targets: []target{{ready, pocketbase, 0}},
	},
}

// Bounds on the node itself.
const (
	mostStartMillis = 50 // after a clean stop
	mostIdle        = 30 << 20
	mostUnderLoad   = 90 << 20
)

func rowNamed(name string) *row {
	for i := range rows {
		if rows[i].name == name {
			return &rows[i]
		}
	}
	return nil
}

// alone is the row without PocketBase.
func (r row) alone() row {
	r.sides = slices.DeleteFunc(slices.Clone(r.sides), sideName.isPeer)
	r.targets = slices.DeleteFunc(slices.Clone(r.targets), func(t target) bool { return t.to.isPeer() })
	return r
}

// isPeer reports whether the side is PocketBase in some form.
func (name sideName) isPeer() bool { return strings.HasPrefix(string(name), string(pocketbase)) }

// writes reports whether the operation changes what the next row would find.
func (op operation) writes() bool { return op == opInsert || op == opUpdate || op == opLogin }
