#!/usr/bin/perl
#
# load.pl DIRECTORY
#   Reads package stanzas ("apt-cache dumpavail") from standard input and
#   writes them as tables for COPY: DIRECTORY/<table>.tsv.  Needs nothing but
#   perl itself.  Of several versions of one package the first is taken.
#
use strict;
use warnings;

my $dir = shift or die "usage: load.pl DIRECTORY\n";
my @kinds = ('Pre-Depends', 'Depends', 'Recommends', 'Suggests', 'Enhances',
	'Breaks', 'Conflicts', 'Replaces');
my (%out, %seen, %maintainer);

foreach my $table (qw(maintainers packages dependencies provides tags))
{
	open($out{$table}, '>', "$dir/$table.tsv") or die "$dir/$table.tsv: $!\n";
}

# One row in COPY's text format; undef is NULL.
sub row
{
	my ($table, @columns) = @_;

	foreach (@columns)
	{
		if (!defined) { $_ = '\N'; next; }
		s/\\/\\\\/g;
		s/\t/\\t/g;
		s/\n/\\n/g;
	}
	print { $out{$table} } join("\t", @columns), "\n";
}

# "name <address>" to its id; the row is written at the first sight.
sub maintainer_id
{
	my ($text) = @_;

	return $maintainer{$text} if $maintainer{$text};
	my ($name, $email) = $text =~ /^(.*?)\s*<([^>]*)>/ ? ($1, $2) : ($text);
	my $id = 1 + keys %maintainer;
	row('maintainers', $id, $name, $email);
	return $maintainer{$text} = $id;
}

# "a (>= 1) | b, c": clause 1 has two alternatives, clause 2 has one.
sub dependency_rows
{
	my ($id, $kind, $text) = @_;
	my $clause = 0;

	foreach my $group (split /\s*,\s*/, $text)
	{
		my $alternative = 0;
		$clause++;
		foreach my $item (split /\s*\|\s*/, $group)
		{
			next
			  unless $item =~
			  /^([^\s(:]+)(?::\S+)?\s*(?:\(\s*([<>=]+)\s*([^)]*?)\s*\))?/;
			row('dependencies', $id, lc $kind, $clause, ++$alternative,
				$1, $2, $3);
		}
	}
}

sub package_rows
{
	my ($f) = @_;
	my $name = $f->{Package};

	return if !defined $name || $seen{$name};
	my $id = $seen{$name} = 1 + keys %seen;
	my ($source) = split / /, $f->{Source} // $name;

	row('packages', $id, $name, $f->{Version}, $source, $f->{Section},
		$f->{Priority}, $f->{Architecture},
		maintainer_id($f->{Maintainer} // 'unknown'),
		$f->{'Installed-Size'} // 0,
		$f->{Size} // 0, $f->{Homepage}, $f->{Description});
	foreach my $kind (@kinds)
	{
		dependency_rows($id, $kind, $f->{$kind}) if defined $f->{$kind};
	}
	my %once;
	foreach (split /\s*,\s*/, $f->{Provides} // '')
	{
		row('provides', $id, $1) if /^([^\s(:]+)/ && !$once{$1}++;
	}
	foreach (split /\s*,\s*/, $f->{Tag} // '')
	{
		row('tags', $id, $1) if /^(\S+)/ && !$once{"tag $1"}++;
	}
}

# Stanzas are separated by empty lines; a line that starts with a space
# continues the field above, except that only the first line of a description
# matters here.
my ($stanza, $last) = ({}, '');
while (my $line = <STDIN>)
{
	chomp $line;
	if ($line eq '')
	{
		package_rows($stanza);
		$stanza = {};
	}
	elsif ($line =~ /^([^\s:]+):\s*(.*)/)
	{
		$last = $1;
		$stanza->{$last} = $2;
	}
	elsif ($last ne 'Description' && $line =~ /^\s+(.*)/)
	{
		$stanza->{$last} .= $1;
	}
}
package_rows($stanza);
close $_ or die "cannot write: $!\n" foreach values %out;
printf "%d packages, %d maintainers\n", scalar(keys %seen),
  scalar(keys %maintainer);
