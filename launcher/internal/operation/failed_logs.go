package operation

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"onemore/launcher/internal/cluster"
	"onemore/launcher/internal/node"
	"onemore/launcher/internal/nodedir"
)

// FailedFolder holds, beside the clusters, a folder of logs for every cluster whose last `up` failed; it is also their mark.
const FailedFolder = "_failed"

// keepLogs moves the logs of nodes that are about to be removed to a folder beside the clusters, and returns it. Only the
// last failure of a cluster is kept.
func keepLogs(c *cluster.Cluster, log *slog.Logger, nodes []*node.Node) string {
	rec := c.Record()
	if rec == nil {
		return ""
	}
	parent := filepath.Join(filepath.Dir(c.Dir()), FailedFolder)
	dir := filepath.Join(parent, rec.Plan.Cluster)
	err := os.MkdirAll(parent, 0o700)
	if err == nil {
		err = nodedir.Remove(dir, FailedFolder)
	}
	if err == nil {
		err = nodedir.Make(dir, FailedFolder)
	}
	if err != nil {
		log.Error("keep logs", "err", err)
		return ""
	}
	kept := 0
	for _, n := range nodes {
		if os.Rename(n.Plan.Log, filepath.Join(dir, fmt.Sprintf("node%d.log", n.Plan.Index))) == nil {
			kept++ // a node that never started has none
		}
		for _, file := range node.OwnLogs(n.Plan) {
			if os.Rename(file, filepath.Join(dir, fmt.Sprintf("node%d-%s", n.Plan.Index, filepath.Base(file)))) == nil {
				kept++
			}
		}
	}
	if kept == 0 {
		_ = nodedir.Remove(dir, FailedFolder)
		return ""
	}
	return dir
}
