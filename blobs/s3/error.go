package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"syscall"

	"github.com/minio/minio-go/v7"

	"github.com/sluice-edge/sluice/blobs"
)

// failed says in the room's words what an error of the service means. What the caller's context ended is its error.
func failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	var said minio.ErrorResponse
	if errors.As(err, &said) {
		switch {
		case said.Code == minio.NoSuchKey, said.Code == "NotFound":
			return fmt.Errorf("%w: %w", blobs.ErrNotFound, err)
		case said.StatusCode == http.StatusInsufficientStorage, said.Code == "QuotaExceeded", said.Code == "XMinioStorageFull", said.Code == "XMinioAdminBucketQuotaExceeded":
			return fmt.Errorf("%w: %w", blobs.ErrFull, err)
		}
	}
	return fmt.Errorf("%w: %w", blobs.ErrUnavailable, err)
}

// spoolFailed says what an error of the spool means; others stay as they are.
func spoolFailed(err error) error {
	var source *blobs.SourceError
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &source):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", blobs.ErrFull, err)
	case errors.As(err, &path), errors.As(err, &link):
		return fmt.Errorf("%w: %w", blobs.ErrUnavailable, err)
	}
	return err
}
