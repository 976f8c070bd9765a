# The demo, on its bundled sample: every question through the cache and
# directly, before and after writes, and no answer is wrong.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mode = $ENV{CACHEKIT_MODE} // 'preload';
my $demo = 'test/demo';
my $tables = PostgreSQL::Test::Utils::tempdir();

my $node = PostgreSQL::Test::Cluster->new('demo');
$node->init;
$node->append_conf('postgresql.conf', slurp_file("test/$mode.conf"));
$node->start;

my ($out, $err);
my $loaded = IPC::Run::run([ 'perl', "$demo/load.pl", $tables ],
	'<', "$demo/sample.txt", '>', \$out, '2>', \$err);
ok($loaded, 'the sample is read') or diag($err);
like($out, qr/^450 packages, \d+ maintainers$/, 'all of its packages');

my $done = IPC::Run::run(
	[
		'psql', '-X', '-q', '-At',
		'-v', 'ON_ERROR_STOP=1',
		'-v', "dir=$tables",
		'-d', $node->connstr('postgres'),
		map { ('-f', "$demo/$_.sql") } qw(schema questions harness demo)
	],
	'>', \$out, '2>', \$err);
ok($done, 'the demo runs to its end') or diag($err);
is($err, '', 'without a word of complaint');
is($node->safe_psql('postgres', 'SELECT count(*) FROM demo.checks'),
	96, 'every question was compared six times');
is($node->safe_psql('postgres', 'SELECT sum(wrong) FROM demo.checks'),
	0, 'no cached answer was wrong');
cmp_ok($node->safe_psql('postgres', 'SELECT hits FROM cachekit_stats'),
	'>=', 9 * 16, 'the cache did answer');

$node->stop;
done_testing();
