package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"onemore/launcher/internal/plan"
)

// checkSeed finds out whether the file that a new cluster is seeded by is a program.
func checkSeed(po *plan.Options) error {
	if po.Seed == "" || po.Formed != nil {
		return nil
	}
	info, err := os.Stat(po.Seed)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", po.Seed)
	}
	if err != nil {
		return &InputError{Err: fmt.Errorf("seed: %w", err), Hint: "give a program, or a file that the template's [[seed]] takes"}
	}
	po.SeedProgram = info.Mode()&0o111 != 0
	return nil
}

// seedTime bounds a program that seeds a cluster.
const seedTime = 5 * time.Minute

// giveAddresses gives the program that seeds a new cluster what `onemore env` has, where the cluster is, and its time.
func giveAddresses(p *plan.Plan) {
	if !p.Options.SeedProgram || len(p.Seed) == 0 {
		return
	}
	env := []string{"ONEMORE_HOME=" + filepath.Dir(p.Dir)}
	for _, v := range Environment(p) {
		env = append(env, v.Name+"="+v.Value)
	}
	program := &p.Seed[len(p.Seed)-1]
	program.Env, program.Timeout.Duration = env, seedTime
}
