#!/bin/sh
# The programs as a user meets them: results, refusals, records. usage: programs.sh FOLDER-OF-PROGRAMS
# Every refusal must be one line on stderr that says what is wrong, with the right exit code, and leave nothing behind.
set -u
bin=$1 here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0 failed=0
small="--dataset synthetic --model logreg --clients 4 --batch 8 --steps 3 --threads 1 --topology ring"

fail() {
    failed=$((failed + 1))
    echo "FAILED: $*"
    sed 's/^/    /' stderr.txt | head -n 5
}
# accept WORDS COMMAND...: exit 0 and WORDS (a regular expression) somewhere in what it prints.
accept() {
    pattern=$1
    shift
    if "$@" >stdout.txt 2>stderr.txt && grep -qE -- "$pattern" stdout.txt; then passed=$((passed + 1)); else fail "$*: wanted $pattern"; fi
}
# refuse CODE WORDS COMMAND...: that exit code, one line on stderr with WORDS, nothing on stdout, and no folder "out".
refuse() {
    code=$1 pattern=$2
    shift 2
    "$@" >stdout.txt 2>stderr.txt
    got=$?
    if [ $got = "$code" ] && grep -qE -- "$pattern" stderr.txt && [ "$(wc -l <stderr.txt)" = 1 ] && [ ! -s stdout.txt ] && [ ! -e out ] && [ ! -e out.part ]
    then passed=$((passed + 1)); else fail "$*: exit $got, wanted $code with $pattern"; fi
}
# shellcheck disable=SC2086  # $small is meant to split
{
accept 'usage: qgm-train' "$bin/qgm-train" --help
accept 'in use: ' "$bin/qgm-train" --version
accept 'qg-dsgdm-n ' "$bin/qgm-train" --list
accept 'compressor .*; none, topk, randk, sign or qsgd' "$bin/qgm-train" --list
accept 'rows .*0: as square as it can be' "$bin/qgm-train" --list
accept '^digest [0-9a-f]{16}$' "$bin/qgm-train" $small
accept '^digest [0-9a-f]{16}$' "$bin/qgm-train" $small --quiet --clients 1
accept 'spectral gap +0.050747$' "$bin/qgm-inspect" topology ring --clients 16
accept 'spectral gap +2.08735e-05$' "$bin/qgm-inspect" topology chain --clients 397 # of digits, however small
accept 'lambda_min +-0.434279' "$bin/qgm-inspect" topology davis --clients 32
accept '0,1,0.333333333,0.00000,1.00000,1.00000,0.00000' "$bin/qgm-inspect" topology ring --clients 4 --drawing
accept 'qg-dsgdm +5000 +3\.3191e-01' "$bin/qgm-toy" quadratic --algos qg-dsgdm --double
accept '^least-squares,gt,ring,4,' "$bin/qgm-toy" least-squares:dim=3 --algos gt --clients 4 --steps 20 --noise 0.1 --csv
accept '^logreg,gt,ring,2,' "$bin/qgm-bench-step" --full logreg --algos gt --clients 2 --threads 1 --repeats 3
accept 'total variation' "$bin/qgm-inspect" partition iid --dataset synthetic --clients 4
accept 'of step 2: client' "$bin/qgm-inspect" topology one-peer-exponential --clients 8 --step 2
accept '^0,4,0.5$' "$bin/qgm-inspect" topology one-peer-exponential --clients 8 --step 2 --csv
accept '^0,7,0.5$' "$bin/qgm-inspect" topology one-peer-exponential --clients 8 --step 3 --csv
refuse 2 '--step two: expected a whole number' "$bin/qgm-inspect" topology ring --step two
refuse 2 '--step 2: ring is the same in every step' "$bin/qgm-inspect" topology ring --step 2
refuse 2 'topology ring, --topology torus: one of the two' "$bin/qgm-inspect" topology ring --topology torus
refuse 2 '--csv, --drawing: one of the two' "$bin/qgm-inspect" topology ring --csv --drawing
# A partition that was drawn is one that can be given.
"$bin/qgm-inspect" partition lin2021 --alpha 0.1 --dataset synthetic --clients 4 --write mine.txt | grep fingerprint >drawn.txt
accept "$(cat drawn.txt)" "$bin/qgm-inspect" partition file:mine.txt --dataset synthetic --clients 4
refuse 2 '--write mine.csv: writes a partition' "$bin/qgm-inspect" topology ring --write mine.csv
refuse 2 '--drawing: is of a topology' "$bin/qgm-inspect" partition iid --dataset synthetic --drawing
refuse 1 'nowhere/mine.txt' "$bin/qgm-inspect" partition iid --dataset synthetic --clients 4 --write nowhere/mine.txt
accept 'MFLOP' "$bin/qgm-train" $small --dry-run
if "$bin/qgm-train" $small --backend onednn --quiet >/dev/null 2>stderr.txt; then # in this build
    accept '^digest [0-9a-f]{16}$' "$bin/qgm-train" $small --model cnn --batch 2 --backend onednn --threads 2
else
    refuse 2 'no oneDNN; install it' "$bin/qgm-train" $small --backend onednn
fi
refuse 2 "did you mean 'onednn'" "$bin/qgm-train" $small --backend onednnn
refuse 2 'options behind a colon .wan:spread=0.3.' "$bin/qgm-train" $small --network wan,spread=0.3
refuse 2 "--dataset folder:: found '' behind ':', expected a path" "$bin/qgm-train" --model cnn --dataset folder:

refuse 2 '--repeats 2: expected a whole number from 3 to 101' "$bin/qgm-bench-step" --repeats 2
refuse 2 '--most 7: expected a whole number from 4096 to 1073741824' "$bin/qgm-bench-exchange" --most 7
refuse 2 '--threads 1x: expected a whole number from 1 to 1024' "$bin/qgm-replay" any.csv --threads 1x
refuse 2 '--jobs 0: expected a whole number from 1 to 256' "$bin/qgm-study" any.yaml --jobs 0
refuse 2 '--clients 1.5: expected a whole number from 1 to 4096' "$bin/qgm-toy" quadratic --clients 1.5
refuse 2 '--momentum nan: expected a number from 0 to 1' "$bin/qgm-toy" quadratic --momentum nan
refuse 2 "unknown algorithm 'nope'" "$bin/qgm-toy" quadratic --algos 'dsgd nope'
refuse 2 "--algos dsgdd: unknown name: did you mean 'dsgd'" "$bin/qgm-bench-step" --algos 'gt dsgdd' --clients 2 --threads 1
refuse 2 "--algos: .*'choco:compress=topk': unknown option 'compress': did you mean 'compressor'" "$bin/qgm-bench-step" --algos 'gt choco:compress=topk' --clients 2 --threads 1
refuse 2 '--algos: .* ratio=2: expected a number from 1e-06 to 1' "$bin/qgm-bench-step" --algos choco:ratio=2 --clients 2 --threads 1
refuse 2 '--graphs bogus: unknown name' "$bin/qgm-bench-step" --graphs 'ring bogus' --clients 2 --threads 1

# Texts of one's own: a class and columns a row, a vocabulary.
printf '[UNK]\n[CLS]\n[SEP]\ngood\nbad\nvery\n' >vocab.txt
for _ in 1 2 3 4 5 6 7 8; do printf '1,good,very good\n2,bad,bad\n'; done >texts.csv
encoder="--model bert-tiny:width=16,heads=2,inner=32 --clients 2 --batch 4 --steps 3 --lr 0.01 --threads 1"
accept '^digest [0-9a-f]{16}$' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv,length=4 $encoder --algo qg-dadam
accept '16 training and 16 test' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv $encoder --dry-run
for how in '--isa scalar' '--threads 2'; do # the same bits on texts too
    "$bin/qgm-train" --dataset csv:texts.csv,texts.csv $encoder $how --quiet
done >digests.txt 2>stderr.txt
[ "$(grep -cE '^digest [0-9a-f]{16}$' digests.txt)" = 2 ] && [ "$(uniq digests.txt | wc -l)" = 1 ] && passed=$((passed + 1)) || fail "texts: instruction sets or threads differ"
sed 's/^1/up/; s/^2/"down, ""really"""/' texts.csv >named.csv # the same texts: digests differ in how classes count
accept digest "$bin/qgm-train" --dataset csv:named.csv,named.csv $encoder --out named
grep -q '"classes":.*"down, .*really.*","up"' named/run.jsonl && passed=$((passed + 1)) || fail "names of classes in run.jsonl"
printf '1,good,very good\n2,bad\n' >uneven.csv
refuse 1 'line 2: 2 columns, expected 3 as in line 1' "$bin/qgm-train" --dataset csv:uneven.csv,texts.csv $encoder
refuse 2 '[0-9]+ clients need [0-9.]+ GiB, this machine has' "$bin/qgm-train" --dataset synthetic:n=40000 --model mlp:hidden=60000-60000 --clients 1000
accept 'digest' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv $encoder --out saved --save clients
for f in average client-0 client-1; do [ -s saved/$f.safetensors ] || fail "no saved/$f.safetensors"; done
spoil() { # FILE: its last number becomes a NaN
    printf '\000\000\300\177' | dd of="$1" bs=1 seek=$(($(wc -c <"$1") - 4)) conv=notrunc 2>dd.txt
}
cp saved/average.safetensors nan.safetensors && spoil nan.safetensors
for dry in '' --dry-run; do # which opens the file too
    refuse 1 'nan.safetensors: holds a weight or statistic that is not finite' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv $encoder --init nan.safetensors $dry
done
normed="--dataset synthetic:n=8,test=4,size=8,channels=3 --model resnet8 --clients 2 --batch 4 --steps 1 --threads 1"
accept digest "$bin/qgm-train" $normed --out normed --save average
spoil normed/average.safetensors # of the running variances, which come last
refuse 1 'average.safetensors: holds a weight or statistic that is not finite' "$bin/qgm-train" $normed --init normed/average.safetensors
accept 'init  *saved/average.safetensors: its tensors fit$' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv $encoder --init saved/average.safetensors --dry-run
{ cat vocab.txt; echo more; } >longer.txt
for dry in '' --dry-run; do
    refuse 1 'word_embeddings.weight: shape .6,16., expected .7, 16., .*vocabulary' "$bin/qgm-train" \
        --dataset csv:texts.csv,texts.csv,vocab=longer.txt $encoder --init saved/average.safetensors $dry
    refuse 1 '^qgm-train: --init: saved/average.safetensors: tensor .*: the (model|file) has it, the (model|file) has not' "$bin/qgm-train" $small --init saved/average.safetensors $dry
done
accept 'digest' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv $encoder --out saved --force --init saved/average.safetensors
[ "$(ls saved)" = "$(printf 'metrics.csv\nrun.jsonl')" ] || fail "--force left $(ls saved)"
refuse 2 '--save average: needs a folder' "$bin/qgm-train" $small --save average
refuse 1 '--init nowhere.safetensors: there is no such file' "$bin/qgm-train" $small --init nowhere.safetensors
refuse 1 '--init nowhere.safetensors: there is no such file' "$bin/qgm-train" $small --init nowhere.safetensors --dry-run
refuse 1 'short.csv: line 2' sh -c 'printf "1,a\n2\n" >short.csv; "$0" --dataset csv:short.csv,texts.csv' "$bin/qgm-train"
rm -f short.csv
# What is in a file: 1; flags that do not go together: 2.
refuse 1 'bytes.csv: line 2: byte 0xff is not UTF-8' sh -c 'printf "1,a\n2,b\377\n" >bytes.csv; "$0" --dataset csv:bytes.csv,texts.csv' "$bin/qgm-train"
refuse 2 'model logreg: expected images, but the data are texts' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv --model logreg
refuse 2 'model bert-tiny: expected texts, but the data are images' "$bin/qgm-train" --dataset synthetic --model bert-tiny

# Images of one's own, in folders by class; packed once.
if "$bin/qgm-train" --version | grep -q jpeg; then
    for class in train/cat train/dog val/cat val/dog; do
        mkdir -p pics/$class
        for seed in colour grey progressive cmyk; do cp "$here/fuzz/seeds/jpeg/$seed" pics/$class/$seed.jpg; done
    done
    pics="--model logreg --clients 2 --batch 2 --threads 1 --steps 6 --dataset folder:pics,size=16,cache=caches"
    accept '^digest [0-9a-f]{16}$' "$bin/qgm-train" $pics --quiet
    cp stdout.txt digest.txt
    pack=$(ls caches/*.pack)
    printf '\377' | dd of="$pack" bs=1 seek=$(($(wc -c <"$pack") - 1)) conv=notrunc 2>dd.txt # of the last image
    refuse 1 "$pack: the pixels of test image 8 of 8 .class 'dog'.*delete it" "$bin/qgm-train" $pics --out out --quiet
    rm "$pack"
    head -c 700 pics/train/cat/colour.jpg >pics/train/cat/cut.jpg
    touch pics/val/dog/other.png
    refuse 1 'skip=1: pics/train/cat/cut.jpg: damaged' "$bin/qgm-train" $pics --quiet
    accept digest "$bin/qgm-train" $pics --dataset folder:pics,size=16,cache=caches,skip=1 --out skipped
    grep -q 'note: pics: 1 damaged file left out: train/cat/cut.jpg' stderr.txt && grep -q 'note: pics/val/dog: left out 1 .png' stderr.txt &&
        grep -q '"files_skipped":1,"skipped_files":."train/cat/cut.jpg".' skipped/run.jsonl && passed=$((passed + 1)) || fail "no word of files left out"
    rm pics/train/cat/cut.jpg
    accept "$(cat digest.txt)" "$bin/qgm-train" $pics --quiet
fi

# data/get-data: what it would fetch; what comes with another checksum is not kept.
get=$here/../data/get-data
accept '^cifar100$' "$get" --list
refuse 2 "unknown data set 'cifar'" "$get" cifar
refuse 2 'imagenet: its makers' "$get" imagenet
if command -v curl >/dev/null; then
    mkdir mirror && echo short >mirror/cifar-10-binary.tar.gz
    QGM_MIRROR=file://$(pwd)/mirror "$get" --dir sets cifar10 >stdout.txt 2>stderr.txt && fail "a wrong checksum went unnoticed"
    grep -q 'another checksum' stderr.txt && [ -z "$(ls sets)" ] && passed=$((passed + 1)) || fail "get-data kept $(ls sets)"
    for try in first second; do # an archive that does not hold what it should is not there the next time either
        echo short >mirror/uncased_L-2_H-128_A-2.zip
        QGM_MIRROR=file://$(pwd)/mirror "$get" --dir words vocab >stdout.txt 2>stderr.txt && fail "a wrong archive: $try time"
        grep -q 'does not hold the vocabulary' stderr.txt && [ -z "$(ls words/vocab)" ] && passed=$((passed + 1)) || fail "get-data, $try: $(ls words/vocab)"
    done
fi
# What Debian packs are the makers' files without the time and the name in gzip's header: with both they have the right
# checksums. Of one a part is there, as after an interruption: the rest is fetched, and trainings find all four.
packed=/usr/share/datasets/fashion-mnist
if command -v curl >/dev/null && [ -d $packed ]; then
    for f in train-images-idx3:336 train-labels-idx1:336 t10k-images-idx3:363 t10k-labels-idx1:363; do
        name=${f%:*}-ubyte
        { printf '\037\213\010\010'"\\${f#*:}"'\351\247Y\000\003%s\000' "$name"; tail -c +11 "$packed/$name.gz"; } >"mirror/$name.gz"
    done
    export QGM_MIRROR="file://$(pwd)/mirror"
    mkdir -p sets/fashion-mnist && head -c 9000000 mirror/train-images-idx3-ubyte.gz >sets/fashion-mnist/train-images-idx3-ubyte.gz.part
    "$get" --dir sets fashion-mnist >stdout.txt 2>stderr.txt && passed=$((passed + 1)) || fail "get-data did not go on"
    grep -q 'Resuming transfer from byte position 9000000' stderr.txt && passed=$((passed + 1)) || fail "get-data began again"
    accept '^data  *fashion-mnist' "$bin/qgm-train" --data-dir sets --dataset fashion-mnist:train=100,test=10 --model logreg --clients 2 --dry-run
    mv sets/fashion-mnist/t10k-labels-idx1-ubyte.gz part
    cat part part >sets/fashion-mnist/t10k-labels-idx1-ubyte.gz.part # cannot be gone on with
    "$get" --dir sets fashion-mnist >stdout.txt 2>stderr.txt && grep -q 'from the start' stderr.txt && passed=$((passed + 1)) || fail "get-data is stuck"
    "$get" --dir sets fashion-mnist 2>&1 | grep -c 'is there' | grep -qx 4 && passed=$((passed + 1)) || fail "get-data fetched again"
    unset QGM_MIRROR
    rm -rf sets mirror part
fi

refuse 2 'unknown flag --algi: did you mean --algo' "$bin/qgm-train" $small --algi dsgd
refuse 2 "did you mean 'qg-dsgdm'" "$bin/qgm-train" $small --algo qg-dgsdm
refuse 2 "did you mean 'ring'" "$bin/qgm-train" $small --topology rimg
refuse 2 "did you mean 'lenet'" "$bin/qgm-train" $small --model lenett
accept '^model .*resnet26' "$bin/qgm-train" $small --model resnet26 --dry-run
refuse 2 'model resnet: depth=27: expected 6n.2, as in 8, 20' "$bin/qgm-train" $small --model resnet27
refuse 2 'unknown name' "$bin/qgm-train" $small --dataset nowhere
refuse 2 '--clients 0: expected a whole number from 1' "$bin/qgm-train" $small --clients 0
refuse 2 '--clients 2.5' "$bin/qgm-train" $small --clients 2.5
refuse 2 '--alpha 0: expected' "$bin/qgm-train" $small --partition lin2021 --alpha 0
refuse 2 '--alpha -1' "$bin/qgm-train" $small --alpha -1
refuse 2 '--lr nan: expected a number' "$bin/qgm-train" $small --lr nan
refuse 2 '--lr inf' "$bin/qgm-train" $small --lr inf
refuse 2 '--batch 60000: larger than a client' "$bin/qgm-train" $small --batch 60000
refuse 2 '--checkpoint-every 5days: expected steps or a time' "$bin/qgm-train" $small --checkpoint-every 5days
refuse 2 '--resume: of which run' "$bin/qgm-train" $small --resume
refuse 2 '--lr-scale everyone: expected a number above 0 and below 1e6, world or graph' "$bin/qgm-train" $small --lr-scale everyone
refuse 2 '--lr-scale graph: counts a client.s neighbours, but those of davis have from' "$bin/qgm-train" $small --topology davis --clients 32 --lr-scale graph
refuse 2 'one-peer-exponential is another graph every step' "$bin/qgm-train" $small --topology one-peer-exponential --lr-scale graph
accept "$("$bin/qgm-train" $small --lr-scale 3 --quiet)" "$bin/qgm-train" $small --lr-scale graph
refuse 2 'expected epochs, ascending' "$bin/qgm-train" $small --milestones 3,x
refuse 2 'lambda_?min' "$bin/qgm-train" $small --algo d2 --clients 16
# Of many clients too, with less memory than a dense matrix takes: what is not known is no reason to run.
refuse 2 'd2 needs lambda_min > -1/3; ring on 12000 clients has -0.333' sh -c 'ulimit -v 3000000; "$0" "$@"' \
    "$bin/qgm-train" $small --dataset synthetic:n=12000 --clients 12000 --batch 1 --algo d2 --dry-run
# A graph in pieces: an edge list of fewer clients, and two pairs. An all-reduce does not need it.
printf '0 1\n1 2\n2 3\n' >edges.txt
printf '0 1\n2 3\n' >pairs.txt
refuse 2 '12 of them have no neighbour, the first is client 4: use --clients 4' "$bin/qgm-train" $small --clients 16 --topology file:edges.txt
accept '^digest' "$bin/qgm-train" $small --clients 16 --topology file:edges.txt --force-pairing
refuse 2 'no way leads from client 0 to client 2' "$bin/qgm-train" $small --topology file:pairs.txt
accept '^digest' "$bin/qgm-train" $small --topology file:pairs.txt --algo sgd-central
refuse 2 'unknown instruction set|has no' "$bin/qgm-train" $small --isa sse9
refuse 2 'unknown instruction set' env QGM_ISA=sse9 "$bin/qgm-train" $small
refuse 2 'unexpected argument' "$bin/qgm-train" $small word
refuse 2 'davis' "$bin/qgm-train" $small --topology davis --clients 16
refuse 1 'nowhere' "$bin/qgm-train" $small --dataset fashion-mnist --data-dir ./nowhere
refuse 2 "expected 'topology' or 'partition'" "$bin/qgm-inspect" graph
refuse 2 'expected a study' "$bin/qgm-study"
refuse 1 'cannot read' "$bin/qgm-study" nowhere.yaml

# Records: complete under their name or not there at all.
accept 'digest' "$bin/qgm-train" $small --out run/a
grep -q '"image_mean":\[0.5' run/a/run.jsonl && passed=$((passed + 1)) || fail "run.jsonl does not say how pixels are normalised"
grep -qE '"emd_mean":[0-9]' run/a/run.jsonl && passed=$((passed + 1)) || fail "run.jsonl does not say the EMD"
for f in run/a/run.jsonl run/a/metrics.csv; do [ -s "$f" ] || fail "no $f"; done
[ -e run/a.part ] && fail "run/a.part was left"
refuse 2 'run/a: exists' "$bin/qgm-train" $small --out run/a
accept 'digest' "$bin/qgm-train" $small --out run/a --force
# A run of --resume that has ended: its digest again, so that a job that is started once more does not fail.
"$bin/qgm-train" $small --quiet >digest.txt
accept "$(cat digest.txt)" "$bin/qgm-train" $small --out run/a --resume
grep -q 'run/a: the run has ended before: nothing to do' stderr.txt && [ "$(wc -l <stdout.txt)" = 1 ] && passed=$((passed + 1)) || fail "no word of the run before"
accept 'run/a has ended before' "$bin/qgm-train" $small --out run/a --resume --dry-run
refuse 2 '--resume: no finished run of this configuration.*exists' "$bin/qgm-train" $small --lr 0.2 --out run/a --resume
refuse 2 '--resume: no finished run' "$bin/qgm-train" $small --out run/a --resume --save average
"$bin/qgm-train" $small --out averaged --save average >stdout.txt 2>stderr.txt # has no client's
refuse 2 '--resume: no finished run of this configuration with the weights of --save clients: --out averaged: exists' "$bin/qgm-train" $small --out averaged --resume --save clients
accept '^digest' "$bin/qgm-train" $small --out averaged --resume --force --save clients
accept '^digest' "$bin/qgm-train" $small --out averaged --resume --save average
[ -e averaged/client-3.safetensors ] || fail "a run that has more than is asked for was made again"

# Weights on the way: of every so many epochs, as the final ones of a run that ends there, and of their names.
steady="--dataset synthetic:n=400,test=40 --model resnet8 --clients 4 --batch 10 --threads 1 --quiet --eval-every 0"
"$bin/qgm-train" $steady --steps 10 --out ten --save clients >ten.txt 2>stderr.txt || fail "ten steps"
accept '^digest' "$bin/qgm-train" $steady --steps 25 --out way --save clients --save-every 1
[ "$(ls way | grep -c 'step-[12]0.safetensors$')" = 10 ] && [ "$(ls way | wc -l)" = 17 ] && passed=$((passed + 1)) || fail "--save-every left $(ls way)"
for f in average client-0 client-3; do cmp ten/$f.safetensors way/$f-step-10.safetensors >stderr.txt && passed=$((passed + 1)) || fail "way/$f-step-10"; done
accept 'init .*its tensors fit' "$bin/qgm-train" $steady --init way/average-step-20.safetensors --dry-run
accept '^digest' "$bin/qgm-train" $steady --steps 1 --out way --force # they are a run's, so they go
[ "$(ls way)" = "$(printf 'metrics.csv\nrun.jsonl')" ] && passed=$((passed + 1)) || fail "--force left $(ls way)"
refuse 2 '--save-every 2: which weights. give --save average or clients' "$bin/qgm-train" $small --save-every 2 --out none
mkdir -p way && echo 1 >way/average-step-x.safetensors
refuse 2 "way: holds 'average-step-x.safetensors', which no run" "$bin/qgm-train" $small --out way --force
rm -rf ten way

# --force replaces what a run has left, and nothing else; the refusal comes before the training.
long="$small --steps 1000000000 --eval-every 0 --quiet"
mkdir keep && echo plot >keep/plot.png && echo weights >keep/model.safetensors
refuse 2 "keep: holds '(plot.png|model.safetensors)', which no run writes" "$bin/qgm-train" $long --out keep --force
[ "$(cat keep/plot.png keep/model.safetensors)" = "$(printf 'plot\nweights')" ] || fail "--force removed files of the user's"
cp -r run/a mixed && echo weights >mixed/model.safetensors
refuse 2 "mixed: holds 'model.safetensors', which" "$bin/qgm-train" $long --out mixed --force
refuse 2 "mixed: holds 'model.safetensors', which" "$bin/qgm-train" $long --out mixed --force --dry-run
[ "$(ls mixed)" = "$(printf 'metrics.csv\nmodel.safetensors\nrun.jsonl')" ] || fail "a refused --force left $(ls mixed)"
mkdir records && echo 1 >records/metrics.csv
refuse 2 'records: holds no run.jsonl' "$bin/qgm-train" $long --out records --force
ln -s run/a link && echo text >file
refuse 2 'link: is a symbolic link' "$bin/qgm-train" $long --out link/ --force
refuse 2 'file: is a file' "$bin/qgm-train" $long --out file --force
[ -e keep.part ] || [ -e mixed.part ] || [ -e link.part ] || [ -e file.part ] && fail "a refusal left $(ls -d ./*.part)"
mkdir empty
accept 'digest' "$bin/qgm-train" $small --out empty --force
accept 'digest' "$bin/qgm-train" $small --out empty --force --save clients
accept 'digest' "$bin/qgm-train" $small --out empty --force
[ "$(ls -d empty*)" = empty ] && [ "$(ls empty)" = "$(printf 'metrics.csv\nrun.jsonl')" ] && passed=$((passed + 1)) || fail "--force left $(ls -d empty* empty/*)"
# What comes while the run goes on is not touched either, and the run is not lost.
"$bin/qgm-train" $small --steps 40000 --eval-every 0 --checkpoint-every never --quiet --out busy >stdout.txt 2>stderr.txt &
process=$!
while [ ! -e busy.part/metrics.csv ]; do sleep 0.02; done
mkdir busy && echo text >busy/notes.txt
wait $process
code=$?
if [ $code = 1 ] && grep -q 'busy: exists.*; the run is in busy.part' stderr.txt && [ -e busy/notes.txt ] &&
    grep -q '"record":"end"' busy.part/run.jsonl; then passed=$((passed + 1)); else fail "a folder in the way at the end: exit $code"; fi

# A run that diverges between two evaluations: what was not measured is not 0.
"$bin/qgm-train" $small --lr 1000 --steps 200 --out burst --quiet >stdout.txt 2>stderr.txt && fail "no word of divergence"
grep -q 'diverged at step' stderr.txt && tail -n 1 burst/metrics.csv | cut -d, -f12-16 | grep -qx 'nan,nan,nan,nan,nan' &&
    grep -q '"consensus_distance":null.*"momentum_gradient_cosine":null' burst/run.jsonl && passed=$((passed + 1)) || fail "diverged: $(tail -n 1 burst/metrics.csv)"
if [ "$(id -u)" = 0 ]; then unwritable=/proc/qgm; else mkdir locked; chmod 555 locked; unwritable=locked/qgm; fi
refuse 1 'cannot make the folder' "$bin/qgm-train" $small --out "$unwritable"
if [ -w /dev/full ]; then
    "$bin/qgm-train" $small >/dev/full 2>stderr.txt && fail "a full disk under stdout went unnoticed"
    grep -q 'cannot write' stderr.txt && passed=$((passed + 1)) || fail "no word about a full disk"
fi
# Nor do files take the place of streams that are closed: the table is missed, and not found in the record.
"$bin/qgm-train" $small --eval-every 0.01 --out deaf <&- >&- 2>&-
[ $? = 1 ] && [ "$(grep -c '"record":"evaluation"' deaf/run.jsonl)" = 3 ] && ! grep -qv '^{' deaf/run.jsonl && passed=$((passed + 1)) || fail "closed streams: $(grep -v '^{' deaf/run.jsonl)"

# Ctrl-C, or a terminal that is closed: one line, exit 1, nothing under the name, and a state to go on from (kills.sh has
# the rest). Under nohup the terminal may go.
for signal in INT HUP; do
    "$bin/qgm-train" $small --steps 1000000000 --eval-every 0 --quiet --out out >stdout.txt 2>stderr.txt &
    process=$!
    while [ ! -e out.part/metrics.csv ]; do sleep 0.05; done # before that it does not listen yet
    kill -$signal $process
    wait $process
    code=$?
    if [ $code = 1 ] && grep -q 'interrupted at step.*--resume goes on' stderr.txt && [ ! -e out ] && ls out.part/checkpoint-* >/dev/null; then
        passed=$((passed + 1)); else fail "SIG$signal: exit $code"; fi
    rm -rf out.part
done
nohup "$bin/qgm-train" $small --steps 20000 --eval-every 0 --quiet --out out >stdout.txt 2>stderr.txt &
process=$!
while [ ! -e out.part/metrics.csv ] && kill -0 $process 2>/dev/null; do sleep 0.01; done
kill -HUP $process 2>/dev/null
wait $process && [ -e out/metrics.csv ] && passed=$((passed + 1)) || fail "nohup: $(cat stderr.txt)"
rm -rf out

# Gossip around a run: enough extra rounds lead every model to the mean; statistics that are mixed by all agree.
column() { awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i } END { print $c }' gossip/metrics.csv; }
same() { if [ -n "$1" ] && [ "$1" = "$2" ]; then passed=$((passed + 1)); else fail "$3: $1 against $2"; fi; }
"$bin/qgm-train" $small --steps 30 --partition sorted --gossip-eval 200 --out gossip --quiet >/dev/null 2>stderr.txt
same "$(column accuracy_mean_after_gossip_percent)" "$(column accuracy_average_model_percent)" "after 200 rounds"
[ "$(column accuracy_worst_percent)" != "$(column accuracy_average_model_percent)" ] || fail "clients agree without gossip"
norms="--dataset synthetic:n=400,test=200 --model resnet8 --clients 4 --batch 16 --steps 6 --topology complete --algo dsgd"
# The table shows it where it was asked for; lin2021 counts 2570 parameters, not the 2576 floats that they are padded to.
accept 'avg mod% gossip %  consensus' "$bin/qgm-train" $small --gossip-eval 1 --bits-dialect lin2021 --out gossip --force
same "$(awk 'NR == 2 { print NF }' stdout.txt)" 11 "numbers in a line of the table"
same "$(column sent_megabytes_per_client) $(column counted_megabytes_per_client)" "0.061824 0.09252" "bytes of both dialects"
accept 'avg mod%  consensus' "$bin/qgm-train" $small
# Of a graph that changes: what a step has, and what all of them have together.
for line in 'gap +1, of the product over a period' 'mean 1.0000 .self not counted., of a step' '2 to 2, mean 2.0000 .self not counted., over all steps of a period' '2, over all steps of a period'; do
    accept "$line" "$bin/qgm-inspect" topology one-peer-exponential --clients 4
done
accept 'gap +[0-9.]+$' "$bin/qgm-inspect" topology ring --clients 4
"$bin/qgm-train" $small --algo dsgd --topology one-peer-exponential --out gossip --force --quiet >/dev/null 2>stderr.txt
accept '"topology":.*"period":2,.*"mean_degree":1.0[,}]' head -n 1 gossip/run.jsonl
accept 'L1 distance +mean [0-9.]+ .the EMD of' "$bin/qgm-inspect" partition shards:2 --dataset synthetic --clients 4
accept '.self not counted., over 64 steps' "$bin/qgm-inspect" topology random-matching --clients 4
# Three steps of 10 ms and a latency; gt-nsgdm exchanges twice, SlowMo once more when it averages, here in the first step.
while read -r algo seconds; do
    "$bin/qgm-train" $small --algo "$algo" --network wan:latency-us=1000,mbit-s=1e12 --out gossip --force --quiet >/dev/null 2>stderr.txt
    same "$(column simulated_seconds)" "$seconds" "simulated with $algo"
done <<'ALGOS'
dsgd 0.033
gt 0.033
gt-nsgdm 0.036
slowmo 0.034
dsgd:local=2 0.031
ALGOS
"$bin/qgm-train" $norms --partition sorted --mix-buffers --out gossip --force --quiet >/dev/null 2>stderr.txt
same "$(column accuracy_worst_percent)" "$(column accuracy_best_percent)" "with mixed statistics"
"$bin/qgm-train" $norms --partition sorted --out gossip --force --quiet >/dev/null 2>stderr.txt
[ "$(column accuracy_worst_percent)" != "$(column accuracy_best_percent)" ] || fail "local statistics agree"
for mix in '' --mix-buffers; do # what is lost is not mixed
    "$bin/qgm-train" $norms --partition sorted --drop 1 $mix --out gossip --force --quiet >/dev/null 2>stderr.txt
    same "$(column accuracy_mean_percent)" "${alone:=$(column accuracy_mean_percent)}" "statistics that are lost"
done
for steps in 2 6; do # all but the first with every client down: nothing moves, statistics neither, and nobody has a gradient
    "$bin/qgm-train" $norms --steps $steps --milestones '' --crash 1 --crash-steps 9 --out gossip --force --quiet >/dev/null 2>stderr.txt
    still="$(column accuracy_mean_percent) $(column train_loss_nats) $(column gradient_dissimilarity_zeta2)"
    same "$still" "${stood:=${still% *} nan}" "while all are down"
done
# On a terminal, here of 40 columns, the bar is taken away before a row of the table, and never wraps.
if command -v script >/dev/null; then
    TERM=xterm script -qc "stty cols 40; $bin/qgm-train --dataset synthetic --model cnn --clients 4 --epochs 3 --threads 1" typescript >/dev/null </dev/null
    shown=$(sed 's/\x1b\[K/\n/g' typescript | tr '\r' '\n' | grep '^train ')
    [ -n "$shown" ] && [ -z "$(echo "$shown" | grep -E 'epoch +step|^.{40}')" ] && grep -q '  3.00 ' typescript && passed=$((passed + 1)) || fail "the bar: $shown"
    TERM=dumb script -qc "$bin/qgm-train --dataset synthetic --model cnn --clients 4 --epochs 1 --threads 1" typescript >/dev/null </dev/null
    grep -q '\[K' typescript && fail "escapes on a dumb terminal" || passed=$((passed + 1))
fi
# What does nothing is said (a study may set it for all its models) or refused.
for dry in '' --dry-run; do
    accept . "$bin/qgm-train" $small --mix-buffers $dry
    grep -q 'warning: --mix-buffers does nothing: model logreg keeps no running statistics' stderr.txt && passed=$((passed + 1)) || fail "no word of idle --mix-buffers $dry"
    accept . "$bin/qgm-train" $norms --mix-buffers $dry
    grep -q warning stderr.txt && fail "a warning of --mix-buffers $dry where it works"
    accept . "$bin/qgm-train" $small --steps 20 --milestones 0.5,150 --warmup-epochs 0.02 $dry
    grep -q 'warning: --milestones 0.5,150: the last is step [0-9]*, but the run ends after' stderr.txt && ! grep -q warmup stderr.txt && passed=$((passed + 1)) || fail "no word of a milestone after the end $dry: $(cat stderr.txt)"
    accept . "$bin/qgm-train" $small --steps 20 --milestones 0.5 --warmup-epochs 0.02 $dry
    grep -q warning stderr.txt && fail "a warning of a milestone that is reached $dry"
    accept . "$bin/qgm-train" $small --warmup-epochs 1000 $dry
    grep -q 'warning: --warmup-epochs 1000: .*--lr is not reached' stderr.txt && passed=$((passed + 1)) || fail "no word of a warm-up without end $dry"
    refuse 2 '--augment flip: is of images, but csv has texts: expected auto or none' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv $encoder --augment flip $dry
done
"$bin/qgm-train" $small --network wan --stale 0.1 >/dev/null 2>stderr.txt
grep -q 'warning: --network: .*--stale' stderr.txt && passed=$((passed + 1)) || fail "no word of a network that knows no late messages"
accept '^digest' "$bin/qgm-train" --dataset csv:texts.csv,texts.csv $encoder --augment none
printf '%s\n' 0,0,0.5 1,0,0.5 1,1,0.5 2,1,0.5 2,2,0.5 0,2,0.25 1,2,0.25 >push.csv
refuse 2 'doubly stochastic' "$bin/qgm-train" $small --clients 3 --topology file:push.csv --algo sgp --gossip-eval 1

# Studies: keys are checked with line and column; finished runs are kept.
cat >study.yaml <<'YAML'
title: a small study
base: {dataset: synthetic, model: logreg, clients: 4, batch: 8, steps: 4, partition: iid}
vary: {alpha: [1, 0.1], seed: [1, 2]}
series:
  - {label: DSGD, set: {algo: dsgd}}
  - {label: QG, set: {algo: qg-dsgdm-n}}
rules:
  - {when: {algo: dsgd, alpha: 1e-1}, set: {lr: 0.05}}
YAML
accept '^DSGD +0.1 +0.05 ' "$bin/qgm-study" study.yaml --out st --jobs 2 --quiet
[ "$(wc -l <st/summary.csv)" = 5 ] && [ "$(wc -l <st/runs.csv)" = 9 ] || fail "tables of the study"
grep -q '"runs": 8' st/machine.json && passed=$((passed + 1)) || fail "machine.json does not count the runs"
sed 's/label: QG,/label: "quasi \\"global\\", Nesterov",/' study.yaml >quoted.yaml
"$bin/qgm-study" quoted.yaml --out st-quoted --quiet >quoted.out 2>&1 && grep -q '^"quasi ""global"", Nesterov",1,' st-quoted/summary.csv && passed=$((passed + 1)) || fail "quotes in a label: $(cat quoted.out)"
sed 's/, seed: .1, 2.//' study.yaml >one.yaml # one seed says nothing of the spread
"$bin/qgm-study" one.yaml --out st-one --quiet >one.out 2>&1 && grep -q '^DSGD,1,0.1,1,0,nan,' st-one/summary.csv && passed=$((passed + 1)) || fail "the spread of one seed: $(cat one.out st-one/summary.csv)"
"$bin/qgm-study" study.yaml --out st-new --dry-run 2>&1 | grep -q '^time  *about [0-9]' && passed=$((passed + 1)) || fail "a plan without its time"
"$bin/qgm-study" study.yaml --out st --dry-run 2>&1 | grep -q '8 finished earlier are kept, 0 to do' && passed=$((passed + 1)) || fail "runs were not kept"
# Figures: mistakes are known before any run; labels with commas stay whole; all that gnuplot remarks is kept.
printf 'figures:\n  - {plot: one, x: alpha}\n  - {plot: two, x: alpha}\n' | cat study.yaml - >figures.yaml
mkdir scripts && for f in one two; do echo "print 'from $f'" >scripts/$f.gp; done
sed '$s/alpha/alhpa/' figures.yaml >bad.yaml
refuse 1 "bad.yaml, line 11: figure two: x: 'alhpa' is not a flag that the study varies .alpha, seed" "$bin/qgm-study" bad.yaml --out st2 --plots scripts --dry-run
sed '$s/two/too/' figures.yaml >bad.yaml
refuse 1 'bad.yaml, line 11: figure too: cannot read scripts/too.gp: .*there are: one, two' "$bin/qgm-study" bad.yaml --out st2 --plots scripts
refuse 2 '--plots nowhere: cannot look into the folder' "$bin/qgm-study" figures.yaml --out st2 --plots nowhere
rm st/machine.json && echo kept >target && ln -s ../target st/machine.json # what is replaced whole is not written through
if command -v gnuplot >/dev/null; then
    sed 's/label: QG,/label: "QG, mu",/' figures.yaml >comma.yaml
    accept 'figure  *st/two.svg' "$bin/qgm-study" figures.yaml --out st --plots scripts --quiet
    [ "$(cat st/figures.log)" = "$(printf 'from one\nfrom two')" ] && passed=$((passed + 1)) || fail "figures.log: $(cat st/figures.log)"
    [ "$(cat target)" = kept ] && grep -q '"runs": 8' st/machine.json && passed=$((passed + 1)) || fail "machine.json was written in place"
    sed 's/plot: one/plot: accuracy/; /plot: two/d' comma.yaml >accuracy.yaml
    accept 'figure  *st-comma/accuracy.svg' "$bin/qgm-study" accuracy.yaml --out st-comma --plots "$here/../plots" --quiet
    sed 's/plot: accuracy/plot: partition/' accuracy.yaml >shares.yaml
    "$bin/qgm-study" shares.yaml --out st-shares --plots "$here/../plots" --quiet >shares.out 2>&1
    [ "$(awk -F, 'NR > 1 { sum[$1] += $4 } END { for (a in sum) print sum[a] }' st-shares/partition.csv | sort -u | wc -l)" = 1 ] &&
        head -n 1 st-shares/partition.csv | grep -qx 'alpha,client,class,examples' && passed=$((passed + 1)) || fail "partition.csv: $(cat shares.out)"
    head -n 1 st-comma/accuracy.csv | grep -qx 'alpha,DSGD,DSGD sd,"QG, mu","QG, mu sd"' && grep -q '>QG, mu<' st-comma/accuracy.svg &&
        passed=$((passed + 1)) || fail "a comma in a label: $(head -n 1 st-comma/accuracy.csv)"
    # A first series that diverges does not cut the curves of the others short.
    sed 's/steps: 4/steps: 4, eval-every: 0.01/; s/algo: dsgd}}/algo: dsgd, lr: 1e5}}/; /rules/,/when/d' accuracy.yaml >burst.yaml
    accept '^DSGD +1 .*2 diverged' "$bin/qgm-study" burst.yaml --out st-burst --plots "$here/../plots" --quiet
    same "$(sed 's/,[0-9.]*$/,x/; s/^[0-9.]*,//' st-burst/accuracy-epochs.csv | sort | uniq -c | tr -s ' ' | tail -n 1)" ' 4 nan,x' "epochs beside a diverged series"
fi
# A plan says what its runs lack, before any of them is started, and so does the study: a file, an option of a model.
lacks() { # CODE WORDS STUDY [FLAG]...
    code=$1 pattern=$2
    shift 2
    for dry in --dry-run --quiet; do
        "$bin/qgm-study" "$@" --out st-lacks $dry >stdout.txt 2>stderr.txt
        got=$?
        if [ $got = "$code" ] && tail -n 1 stderr.txt | grep -qE -- "^qgm-study: run st-lacks/runs/$pattern" && grep -q '^runs  *8: 2 algo' stderr.txt && [ -z "$(ls st-lacks/runs 2>/dev/null)" ]
        then passed=$((passed + 1)); else fail "$* $dry: exit $got, wanted $code with $pattern"; fi
    done
    rm -rf st-lacks
}
sed 's/set: {algo: qg-dsgdm-n}/set: {algo: qg-dsgdm-n, init: none.safetensors}/' study.yaml >lacks.yaml
lacks 1 'qg_alpha-1_seed-1: --init none.safetensors: there is no such file' lacks.yaml
sed 's/dataset: synthetic/dataset: fashion-mnist, data-dir: nowhere/' study.yaml >lacks.yaml
lacks 1 'dsgd_alpha-1_seed-1: .*nowhere' lacks.yaml
sed 's/model: logreg/model: "cnn:widht=3"/' study.yaml >lacks.yaml
lacks 2 "dsgd_alpha-1_seed-1: model cnn has no option 'widht': did you mean 'width'" lacks.yaml
sed 's/set: {algo: qg-dsgdm-n}/set: {algo: d2, topology: ring, clients: 16}/' study.yaml >lacks.yaml
lacks 2 'qg_alpha-1_seed-1: .*d2 needs' lacks.yaml
sed 's/base: {/base: {learn_rate: 3, /' study.yaml >bad.yaml
refuse 1 'line 2: Unexpected key: learn_rate' "$bin/qgm-study" bad.yaml --out st2
sed 's/algo: dsgd,/algo: dsgdd,/' study.yaml >bad.yaml
refuse 2 'did you mean' "$bin/qgm-study" bad.yaml --out st2
# What would make the tables say what did not run, or count a run twice.
bad_study() { # CODE PATTERN SED-EXPRESSION: what it makes of study.yaml is refused
    sed "$3" study.yaml >bad.yaml
    refuse "$1" "$2" "$bin/qgm-study" bad.yaml --out st2
}
bad_study 1 'two runs would be in st2/runs/dsgd_alpha-1_seed-1: ' 's/label: QG/label: dsgd/'
bad_study 1 'vary: seed: 1 and 1.0 are one value' 's/seed: .1, 2./seed: [1, 1.0]/'
bad_study 1 "series 'QG' sets alpha: 5, which the study varies" 's/algo: qg-dsgdm-n/algo: qg-dsgdm-n, alpha: 5/'
bad_study 1 'rule 1 sets seed: 7, which the study varies' 's/lr: 0.05/lr: 0.05, seed: 7/'
bad_study 1 'scale laptop sets seed: 1, which the study varies' '$a scales: {laptop: {set: {seed: 1}}}'
bad_study 1 'series 2: the label is empty' 's/label: QG/label: ""/'
thousand=$(seq -s , 1000)
bad_study 1 'make 2000000000000 runs, of at most' "s/alpha: [^]]*/alpha: [$thousand/; s/seed: [^]]*/seed: [$thousand], lr: [$thousand], batch: [$thousand/; /^rules/,\$d"
: >empty.yaml
refuse 1 'empty.yaml: it is empty; expected title' "$bin/qgm-study" empty.yaml --out st2
sed 's/label: QG/label: "a|b"/' study.yaml >pipe.yaml
"$bin/qgm-study" pipe.yaml --out st-pipe --quiet >pipe.out 2>&1 && grep -qF '| a\|b ' st-pipe/summary.md && grep -q '^a|b ' pipe.out && passed=$((passed + 1)) || fail "a bar in a label: $(cat pipe.out)"
printf 'title: t\nbase: {model: logreg, dataset: synthetic, dry-run: true}\nseries:\n  - {label: DSGD, set: {algo: dsgd}}\n' >own.yaml
refuse 1 "dry-run: is the study's own" "$bin/qgm-study" own.yaml --out st2
}
echo "programs: $passed passed, $failed failed"
[ $failed = 0 ]
