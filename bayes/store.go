package bayes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A Store is a Trainer whose lessons are in a directory: the file lessons,
// to which what is learned and forgotten is appended, and the file model.
type Store struct {
	dir     string
	lock    *os.File
	file    *os.File
	out     *bufio.Writer
	trainer *Trainer
	records int // in the file, those that a later one makes void included
}

// ErrLocked: another process has the store open.
var ErrLocked = errors.New("another process is learning")

// The files of a store.
const (
	lessonsFile = "lessons"
	modelFile   = "model"
	lockFile    = "lock"
)

// OpenStore opens the store in dir, or makes one. What a crash left of the
// last record is cut off. base is what the site's model is built upon; nil for
// none. A store that another process has open is ErrLocked.
func OpenStore(dir string, base *Model) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the lessons: %w", err)
	}
	s := &Store{dir: dir, trainer: NewTrainer(base)}
	if err := s.open(); err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the lessons in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if s.lock, err = os.OpenFile(filepath.Join(s.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrLocked
		}
		return err
	}
	if s.file, err = os.OpenFile(filepath.Join(s.dir, lessonsFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	end, err := s.read()
	if err != nil {
		return err
	}
	if err := s.file.Truncate(end); err != nil {
		return err
	}
	if _, err := s.file.Seek(end, io.SeekStart); err != nil {
		return err
	}
	s.out = bufio.NewWriterSize(s.file, 1<<20)
	if end == 0 {
		s.out.WriteString(lessonsMagic)
	}
	s.trainer.changed = s.append
	return nil
}

// read takes up all whole records and returns where the last one ends.
func (s *Store) read() (end int64, err error) {
	in := bufio.NewReaderSize(s.file, 1<<20)
	head := make([]byte, len(lessonsMagic))
	switch n, err := io.ReadFull(in, head); {
	case n == 0 && errors.Is(err, io.EOF):
		return 0, nil
	case err != nil && bytes.HasPrefix([]byte(lessonsMagic), head[:n]):
		return 0, nil // a crash cut the first line
	case err != nil || string(head) != lessonsMagic:
		return 0, fmt.Errorf("%s is no file of lessons of this version", lessonsFile)
	}
	end = int64(len(lessonsMagic))
	for {
		l, learned, size, err := readRecord(in)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errDamaged) {
				return end, nil
			}
			return 0, err
		}
		end += size
		s.records++
		if old, ok := s.trainer.lessons[l.id]; ok {
			s.trainer.count[class(old.spam)]--
			delete(s.trainer.lessons, l.id)
		}
		if learned {
			s.trainer.put(l)
		}
	}
}

func (s *Store) append(l *lesson, learned bool) error {
	s.records++
	_, err := s.out.Write(appendRecord(nil, l, learned))
	return err
}

// Trainer holds the store's lessons: what is learned and forgotten there is
// kept by the next Save.
func (s *Store) Trainer() *Trainer { return s.trainer }

// Clear forgets every lesson.
func (s *Store) Clear() error {
	s.trainer.lessons = map[[16]byte]*lesson{}
	s.trainer.count = [2]int{}
	return s.rewrite()
}

// Save puts the lessons on stable storage, compiles the model and puts it
// there, too, in the place of the old one, which stays whole until then. With
// too few lessons for a model of its own the site is left without one.
func (s *Store) Save() (*Model, error) {
	if s.trainer.err != nil {
		return nil, fmt.Errorf("writing the lessons: %w", s.trainer.err)
	}
	if s.records > 2*len(s.trainer.lessons)+100 {
		if err := s.rewrite(); err != nil {
			return nil, err
		}
	}
	if err := s.out.Flush(); err != nil {
		return nil, fmt.Errorf("writing the lessons: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return nil, fmt.Errorf("writing the lessons: %w", err)
	}
	m, err := s.trainer.Compile()
	if errors.Is(err, ErrOneSided) || err == nil && m == s.trainer.base {
		if err := os.Remove(filepath.Join(s.dir, modelFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("removing the old model: %w", err)
		}
		return m, err
	}
	if err != nil {
		return nil, err
	}
	if err := replace(filepath.Join(s.dir, modelFile), m.Bytes()); err != nil {
		return nil, fmt.Errorf("writing the model: %w", err)
	}
	return m, nil
}

// rewrite leaves only the lessons that count in the file.
func (s *Store) rewrite() error {
	name := filepath.Join(s.dir, lessonsFile)
	if err := replace(name, s.trainer.Lessons()); err != nil {
		return fmt.Errorf("writing the lessons: %w", err)
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("writing the lessons: %w", err)
	}
	s.file.Close()
	s.file = file
	s.out.Reset(file)
	s.records = len(s.trainer.lessons)
	return nil
}

// Close releases the store. What was learned after the last Save is kept if
// the system gets round to it.
func (s *Store) Close() error {
	var err error
	if s.out != nil {
		err = s.out.Flush()
	}
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// replace writes a file so that after a crash either the old or the new one
// is there as a whole.
func replace(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// ModelFile is the name of the compiled model in the store's directory. It
// changes whenever Save has made a new one.
func ModelFile(dir string) string { return filepath.Join(dir, modelFile) }

// LoadModel returns the site's model in dir, or the one in the binary where
// the site has none.
func LoadModel(dir string) (*Model, error) { return LoadModelOr(dir, Embedded) }

// LoadModelOr returns the site's model in dir, or what base returns where the
// site has none.
func LoadModelOr(dir string, base func() (*Model, error)) (*Model, error) {
	name := ModelFile(dir)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return base()
	}
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	m, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}
