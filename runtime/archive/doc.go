// Package archive writes and reads backups as streams: named files in a tar archive (POSIX pax), compressed with zstd, of
// which the last one is SHA256SUMS in the form that sha256sum reads. What ends without it was cut short.
//
// It never knows what the files mean, and touches no disk: tar --zstd -xf and sha256sum -c do the same as it.
package archive
