package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluice-edge/sluice/blobs"
)

// Walk calls f for every object, a directory of them after the other.
func (b *Backend) Walk(ctx context.Context, f func(blobs.Info) error) error {
	for shard := range 256 {
		name := blobs.Hash{byte(shard)}.String()[:2]
		err := entries(ctx, filepath.Join(b.root, name), func(info fs.FileInfo) error {
			h, err := blobs.ParseHash(info.Name())
			if err != nil || h[0] != byte(shard) {
				return nil // not ours
			}
			return f(blobs.Info{Object: blobs.Object{Hash: h, Size: info.Size()}, Modified: info.ModTime()})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WalkUploads calls f for every upload.
func (b *Backend) WalkUploads(ctx context.Context, f func(blobs.Upload) error) error {
	return entries(ctx, filepath.Join(b.root, uploadsDir), func(info fs.FileInfo) error {
		id, err := blobs.ParseUploadID(info.Name())
		if err != nil {
			return nil // not ours
		}
		return f(blobs.Upload{ID: id, Size: info.Size(), Modified: info.ModTime()})
	})
}

// entries calls f for every file of a directory, which need not be there, however many there are.
func entries(ctx context.Context, dir string, f func(fs.FileInfo) error) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ctx.Err()
	}
	if err != nil {
		return failed(err)
	}
	defer d.Close()
	for {
		some, err := d.ReadDir(256)
		for _, entry := range some {
			if err := ctx.Err(); err != nil {
				return err
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it went meanwhile
			}
			if err != nil {
				return failed(err)
			}
			if !info.Mode().IsRegular() {
				continue
			}
			if err := f(info); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return failed(err)
		}
	}
}
