// Package blobtest is the judge of backends: one suite that each has to pass, on a disk, in memory and on a real service.
package blobtest
