// Package s3 proves the backend for S3 on a real service, versitygw, which the tests run as a process of their own: kill
// it, stop it, let it come back. It holds tests only, in a module of its own, so that what a service is built of is no
// dependency of the product.
package s3
