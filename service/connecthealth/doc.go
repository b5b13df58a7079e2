// Package connecthealth is Amazon Connect Health: domains, the subscriptions in them, and their tags.
//
// It owns domains and subscriptions as records of the space "connecthealth". A domain's customer key must be usable by the caller who creates it. Listening sessions,
// patient insights, medical coding, datasets and feedback are part of the contract and not offered by this version: they answer the documented error.
// Contract: Connect Health 2025-01-29, signing name health-agent.
package connecthealth
