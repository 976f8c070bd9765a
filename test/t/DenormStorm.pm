# DenormStorm.pm
#   Storms over denormalized tables: pgbench at several isolation levels at
#   once, and then the question whether every target is what its query returns.

package DenormStorm;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(write_storm add_script storm wrong storms);

my %files;						# arguments of pgbench, by level
my $aborted = '';				# complaints of clients that gave up

# write_storm(NODE, STORM, ENDS): a file for each transaction of %$storm and
# isolation level; it ends as %$ends says, else with COMMIT.
sub write_storm
{
	my ($node, $storm, $ends) = @_;

	for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
	{
		for my $name (sort keys %$storm)
		{
			my $body = $storm->{$name} . "\n" . ($ends->{$name} // 'COMMIT;');

			add_script($node, $level, "$name-" . lc(substr $level, 0, 4),
				"BEGIN ISOLATION LEVEL $level;$body");
		}
	}
	return;
}

# add_script(NODE, LEVEL, NAME, SQL): one more, under a level or any other word.
# Returns the file.
sub add_script
{
	my ($node, $level, $name, $sql) = @_;
	my $file = $node->basedir . "/$name.sql";

	append_to_file($file, "$sql\n");
	push @{ $files{$level} }, '-f', $file;
	return $file;
}

# storm(NODE, TRANSACTIONS-OF-EACH, CLIENTS-BY-LEVEL): how many committed
sub storm
{
	my ($node, $number, %clients) = @_;
	my @running;
	my $sum = 0;

	for my $level (sort keys %clients)
	{
		my ($out, $err) = ('', '');
		my $run = IPC::Run::start(
			[ 'pgbench', '-n', '-t', $number, '-c', $clients{$level}, '--max-tries=100',
			  '-h', $node->host, '-p', $node->port, @{ $files{$level} }, 'postgres' ],
			'>', \$out, '2>', \$err);

		push @running, [ $run, \$out, \$err ];
	}
	for (@running)
	{
		my ($run, $out, $err) = @$_;

		$run->finish;
		$aborted .= $$err if $$err =~ /abort|fatal/i;
		$sum += $1 if $$out =~ /actually processed: (\d+)/;
	}
	return $sum;
}

# All that is wrong in any target.
sub wrong
{
	my ($node) = @_;

	$node->safe_psql('postgres', q{SELECT denorm_wait()});
	return $node->safe_psql('postgres', q{
		SELECT d.target, v.* FROM cachekit_denorm d, denorm_verify(d.target) v});
}

# storms(NODE, LABEL, BURSTS, TRANSACTIONS-OF-EACH, CLIENTS-BY-LEVEL): later
# changes of a key repair what was missed before, so look often.
sub storms
{
	my ($node, $label, $bursts, $number, %clients) = @_;
	my $n = 0;
	my $bad = '';

	for (1 .. $bursts)
	{
		$n += storm($node, $number, %clients);
		$bad = wrong($node);
		last if $bad ne '';
	}
	is($bad, '', "$label: every target is true");
	is($aborted, '', "$label: nobody failed for good");
	cmp_ok($n, '>', 2 * $number, "$label: the storm went through");
	note "$label: $n transactions";
	return;
}

1;
