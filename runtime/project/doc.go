// Package project says what a project is: its schema and access rules, its keys, its limits, its bundle and its open
// handles. The Registry finds projects by key and changes them.
//
// A project's rules live in the project's own file, so that a write can name them among its needs and can never commit
// under rules that have just been replaced: the settings are "project" (the declarative Config as JSON), "tokens"
// (the signing keys of its access tokens) and "bundle" (manifest and module hashes). The directory of projects, the
// hashes of their keys and nothing else live in the project called _control.
//
// What a request needs to know about a project is one immutable State behind an atomic pointer. Readers load the
// pointer once and use what they got until the request ends; a change builds the next State and swaps it.
//
// The package knows no HTTP. Everything exported may be called concurrently unless its comment says otherwise; slices
// that are passed in are borrowed for the call, slices that are appended to belong to the caller.
package project
