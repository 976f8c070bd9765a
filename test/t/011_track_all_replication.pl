# only: preload
# What the workers of a subscription change is seen without any trigger, under
# cachekit.track = all: initial synchronisation, every kind of change,
# partitioned targets, large transactions that are streamed, prepared ones.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheTest;

my ($from, $to) = new_publication(
	"max_prepared_transactions = 10\nlogical_decoding_work_mem = 64kB\n",
	"cachekit.track = all\n");

my $tables = q{
	CREATE TABLE t (id int PRIMARY KEY, v int);
	CREATE TABLE part (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
	CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200);
};
$_->safe_psql('postgres', $tables) for $from, $to;
$to->safe_psql('postgres', 'CREATE EXTENSION cachekit');
$from->safe_psql('postgres', q{
	INSERT INTO t VALUES (1, 1);
	INSERT INTO part VALUES (1, 1), (101, 1);
	CREATE PUBLICATION pub FOR TABLE t, part WITH (publish_via_partition_root = true);
});

my $t = 'SELECT count(*) AS n, sum(id) AS i, sum(v) AS v FROM t';
my $part = 'SELECT * FROM part ORDER BY id';
my $part_2 = 'SELECT * FROM part_2 ORDER BY id';

sub cached_answer
{
	my ($query) = @_;

	return (split /\|/, $to->safe_psql('postgres', compared($query)))[0];
}

# expect(LABEL, CODE, QUERY...): the queries are cached; what is done changes
# what each of them returns, and the cache says so.
sub expect
{
	my ($label, $code, @queries) = @_;
	my %before;

	for my $query (@queries)
	{
		answer_is($to, $query, undef, "$label: before, $query");
		is_hit($to, $to, $query, undef, "$label: before, $query");
		$before{$query} = cached_answer($query);
	}
	$code->();
	for my $query (@queries)
	{
		answer_is($to, $query, undef, "$label: after, $query");
		isnt(cached_answer($query), $before{$query}, "$label: it was a change, $query");
	}
	return;
}

# change(LABEL, SQL, QUERY...): the same, done on the publisher and applied
sub change
{
	my ($label, $sql, @queries) = @_;

	return expect($label, sub {
		$from->safe_psql('postgres', $sql);
		$from->wait_for_catchup('sub');
	}, @queries);
}

expect('synchronised', sub {
	my $connection = $from->connstr . ' dbname=postgres';

	$to->safe_psql('postgres', "CREATE SUBSCRIPTION sub CONNECTION '$connection' "
		  . 'PUBLICATION pub WITH (two_phase = on, streaming = on)');
	$to->wait_for_subscription_sync($from, 'sub');
}, $t, $part, $part_2);

change('insert', 'INSERT INTO t VALUES (2, 2)', $t);
change('update', 'UPDATE t SET v = v + 10', $t);
change('delete', 'DELETE FROM t WHERE id = 1', $t);
change('insert by the root', 'INSERT INTO part VALUES (102, 2)', $part, $part_2);
change('update of a partition', 'UPDATE part SET v = 5 WHERE id = 101', $part, $part_2);
change('moved', 'UPDATE part SET id = 103 WHERE id = 1', $part, $part_2);
change('streamed', 'INSERT INTO t SELECT g, g FROM generate_series(100, 20000) g', $t);
change('prepared', q{BEGIN; UPDATE t SET v = v + 1; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'}, $t);
change('truncate', 'TRUNCATE part', $part, $part_2);

is($to->safe_psql('postgres', 'SELECT count(*) FROM pg_trigger WHERE tgname LIKE $$cachekit_track%$$ OR tgname = $$cachekit_apply$$'),
	'0', 'there is no trigger');
sound($to, 'subscriber');
$to->stop;
$from->stop;
done_testing();
