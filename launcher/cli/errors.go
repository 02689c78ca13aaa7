package cli

import "errors"

var errRunForm = errors.New("want: onemore run [N] -- COMMAND [ARGS…]")
