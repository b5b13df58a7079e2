// Package blobtest says by tests what blob.Store means; every back end passes the Suite.
package blobtest
