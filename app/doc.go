// Package app wires Galen: configuration, engines, services, one endpoint. It is the only package that knows all of them.
//
// Start order is the reading order of New: keys, records, blobs, audit, who may, events and jobs, then the services, then the edge that serves them. Stop is the
// reverse. A service gets the engines that it needs and generated clients for the services that it calls; it never sees this package.
package app
