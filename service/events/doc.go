// Package events is EventBridge: buses, rules, and the delivery of events to targets.
//
// Every event of the account, of Galen's own services and of PutEvents, passes by the rules of its bus. A match becomes a delivery record in
// the same batch for all targets, so what was matched is delivered although the process dies: at least once, retried with growing delay until
// the target's retry policy ends, then sent to its dead-letter target or dropped with a line in the operator's log.
//
// Targets, by the form of their Arn:
//
//	https://host/path, http://host/path          webhook: POST of the input as JSON, through package safedial; HttpParameters add headers and
//	                                             query strings. 2xx is delivered; 401, 407, 408, 409, 425, 429 and 5xx are tried again.
//	arn:aws:s3:::bucket/prefix                   queue: one object per event at prefix/<time>-<event id>.json, written as RoleArn (needed). Keys sort
//	                                             by time; a consumer lists, gets and deletes. A repeated delivery writes the same key again.
//	arn:galen:events:region:account:file/NAME    log: one JSON line per event, appended to NAME.ndjson in the service's folder
//
// Schedules, archives and replays, other buses as targets, and bus policies are not offered: they are refused, never ignored.
//
// Contract: EventBridge 2015-10-07.
package events
