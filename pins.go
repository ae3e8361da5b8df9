//go:build never

package house

import (
	_ "aead.dev/minisign"
	_ "github.com/bodgit/sevenzip"
	_ "github.com/hillu/go-yara/v4"
	_ "github.com/klauspost/compress/zip"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/makiuchi-d/gozxing"
	_ "github.com/nwaples/rardecode/v2"
	_ "github.com/richardlehane/mscfb"
	_ "github.com/ulikunitz/xz"
	_ "github.com/yeka/zip"
	_ "golang.org/x/image/webp"
)
