// Package topic holds the rules of MQTT topic names and filters, and a tree of filters that finds
// those matching a name. It knows no clients, sessions or nodes.
//
// Start at Tree; ParseFilter takes shared subscriptions apart.
package topic
