// Package dashboard is the room for the operator's web page: built by Vite, embedded, and served by the admin listener to
// whoever holds the admin token.
//
// It never has a right that the admin API would not give. It holds no code yet: the command line is the operator's tool.
package dashboard
