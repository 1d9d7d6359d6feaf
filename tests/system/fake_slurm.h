/*
 * fake_slurm.h - sbatch, squeue and scancel as shell scripts in the private
 * directory of a test's program, for a machine without Slurm.
 *
 * Files in DIR/q steer them: `hold` keeps tasks pending, `die_N` has task N end
 * before it does anything, `silent` lets squeue fail, `refuse` lets sbatch.
 * q/calls has the words of every sbatch, one a line.
 */
#ifndef TESTS_SYSTEM_FAKE_SLURM_H
#define TESTS_SYSTEM_FAKE_SLURM_H

#include "tests/system/program.h"
#include "tests/test_helpers.h"

/* State files are replaced by mv, so that squeue never sees half of one. */
static const char fake_sbatch[] =
    "#!/bin/sh\n"
    "q=${0%/bin/*}/q\n"
    "[ \"$1\" = --version ] && { echo slurm; exit 0; }\n"
    "printf '%s\\n' \"$@\" >>$q/calls\n"
    "[ -e $q/refuse ] && {\n"
    "  echo 'sbatch: error: invalid partition specified: x' >&2\n"
    "  echo 'sbatch: error: Batch job submission failed: Invalid partition name' >&2\n"
    "  exit 1\n"
    "}\n"
    "n=$(($(cat $q/last 2>/dev/null || echo 0) + 1))\n"
    "echo $n >$q/last\n"
    "mkdir $q/$n\n"
    "for a; do\n"
    "  case $a in --array=*) array=${a#*=} ;; --chdir=*) dir=${a#*=} ;; esac\n"
    "  script=$a\n"
    "done\n"
    "for r in $(echo \"${array%%%*}\" | tr , ' '); do\n"
    "  for t in $(seq ${r%-*} ${r#*-}); do\n"
    "    echo PENDING >$q/$n/$t\n"
    "    setsid sh $q/../bin/task $q $n $t \"$script\" $dir/${n}_$t.log </dev/null >/dev/null 2>&1 "
    "&\n"
    "  done\n"
    "done\n"
    "echo $n\n";

static const char fake_task[] =
    "q=$1 s=$1/$2/$3\n"
    "state() { echo $1 >$s.new; mv $s.new $s; }\n"
    "while [ -e $q/hold ] && [ ! -e $s.cancel ]; do sleep 0.02; done\n"
    "[ -e $s.cancel ] && { state CANCELLED; exit; }\n"
    "[ -e $q/die_$3 ] && { echo 'node on fire' >$5; state NODE_FAIL; exit; }\n"
    "state RUNNING\n"
    "SLURM_ARRAY_TASK_ID=$3 sh $4 >$5 2>&1 &\n"
    "echo $! >$s.pid\n"
    "wait $!\n"
    "rc=$?\n"
    "if [ -e $s.cancel ]; then state CANCELLED\n"
    "elif [ $rc = 0 ]; then state COMPLETED\n"
    "else state FAILED; fi\n";

static const char fake_squeue[] =
    "#!/bin/sh\n"
    "q=${0%/bin/*}/q\n"
    "touch $q/asked\n"
    "[ -e $q/silent ] && {\n"
    "  touch $q/unanswered\n"
    "  echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2\n"
    "  exit 1\n"
    "}\n"
    "for a; do case $a in --jobs=*) n=${a#*=} ;; esac; done\n"
    "[ -d $q/$n ] || { echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1; }\n"
    "for f in $q/$n/*; do\n"
    "  case $f in *.*) ;; *) echo \"${f##*/} $(cat $f)\" ;; esac\n"
    "done\n";

static const char fake_scancel[] = "#!/bin/sh\n"
                                   "q=${0%/bin/*}/q\n"
                                   "for f in $q/$1/*; do\n"
                                   "  case $f in *.*) continue ;; esac\n"
                                   "  touch $f.cancel\n"
                                   "  [ -e $f.pid ] && kill $(cat $f.pid)\n"
                                   "done\n"
                                   "exit 0\n";

static inline void fake_slurm_write(const struct program *p, const char *name, const char *text)
{
    char path[256];

    assert_true(program_write(p, name, text));
    snprintf(path, sizeof path, "%s/%s", p->dir, name);
    assert_int_equal(chmod(path, 0755), 0);
}

/* In front of PATH from now on, whose value before `path` keeps. */
static inline void fake_slurm_install(const struct program *p, const char *path)
{
    char command[256], *all;

    snprintf(command, sizeof command, "mkdir %s/bin %s/q", p->dir, p->dir);
    assert_int_equal(system(command), 0);
    fake_slurm_write(p, "bin/sbatch", fake_sbatch);
    fake_slurm_write(p, "bin/task", fake_task);
    fake_slurm_write(p, "bin/squeue", fake_squeue);
    fake_slurm_write(p, "bin/scancel", fake_scancel);
    assert_true(asprintf(&all, "%s/bin:%s", p->dir, path) > 0);
    assert_int_equal(setenv("PATH", all, 1), 0);
    free(all);
}

#endif
