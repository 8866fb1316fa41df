Feature: Backups and the archive
  Documents 000 to 004 rest their disaster recovery on WAL and backups in object storage. The archive is read here from its
  bucket, and what is restored is compared with the writes that were acknowledged.

  # The checklist of document 004: a backup is taken, restored and verified, and the time is measured.
  @documented @backups
  @claim:FRESH-BACKUP
  Scenario: A fresh backup is restored
    Given the topology "single-region-archive"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And an operator restores the latest state of the cluster "main"
    Then what was restored holds every write up to its target
    And a restore takes at most 60 s
    And the archive has no gap
    And nothing in the archive is overwritten

  @documented @backups
  @claim:PITR
  Scenario: A bad change is undone by a restore to just before it
    Given the topology "single-region-archive"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And somebody makes a bad change in the cluster "main"
    And an operator restores the cluster "main" to just before the bad change
    Then what was restored holds every write up to its target
    And what was restored holds no write from after its target
    And a restore takes at most 60 s

  # A timeline is begun in the middle of a file of the WAL. The archive must lead from the one to the other.
  @documented @backups
  @claim:NO-SPLIT-BRAIN @claim:PITR
  Scenario: The archive goes on after a failover
    Given the topology "single-region-archive"
    And the PostgreSQL parameter "archive_timeout" is "5"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And an operator restores the latest state of the cluster "main"
    Then the archive has no gap
    And nothing in the archive is overwritten
    And what was restored holds every write up to its target

  # Document 002's own words: the restored server stays at its target and accepts no write, so this scenario fails.
  @documented @backups
  @claim:PITR
  Scenario: A restore as the document writes it
    Given the topology "archive-as-written"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And somebody makes a bad change in the cluster "main"
    And an operator restores the cluster "main" to just before the bad change
    Then what was restored holds every write up to its target
    And what was restored holds no write from after its target

  # The document's restored server archives under the names of its source. When that fails over, each has a second timeline,
  # and the one that comes last takes the place of the other in silence.
  @documented @backups @control:archive
  Scenario: A restored server overwrites the archive of its source
    Given the topology "archive-as-written"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And an operator restores the latest state of the cluster "main"
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then nothing in the archive is overwritten

  # An archive command that says that it has done what it has not: a fourth of the files is lost, and nobody hears of it.
  @documented @backups @control:archive
  Scenario: An archive command loses a file
    Given the topology "single-region-archive"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And the PostgreSQL parameter "archive_command" is "case %f in *[26AE]) true ;; *) pgbackrest --stanza=main archive-push %p ;; esac"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary is killed
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the archive has no gap

  # An archive command that sends the first megabyte of a file, as one does that is cut off and ends with success all the same.
  @documented @backups @control:archive
  Scenario: An archive command sends a part of a file
    Given the topology "archive-as-written"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And the PostgreSQL parameter "archive_command" is "case %f in *[26AE]) head -c 1048576 %p > /tmp/%f && s3cmd put /tmp/%f s3://backups/wal/%f ;; *) s3cmd put %p s3://backups/wal/%f ;; esac"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary is killed
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the archive has no gap

  # Somebody has "switched archiving off" by a command that does nothing. What is restored ends where the first file is
  # missing, and looks whole to everybody who does not compare it with the writes that were acknowledged.
  @documented @backups @control:restore
  Scenario: A restore from an archive that lacks files
    Given the topology "single-region-archive"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And an operator sets "postgresql.parameters.archive_command" to "/bin/true"
    And 20 s to 25 s have passed
    And the fault is healed
    And an operator restores the latest state of the cluster "main"
    Then what was restored holds every write up to its target

  # Two of pgBackRest's choices: files are sent in the background, several at a time, and the backup copies a standby. What was
  # sent and not yet confirmed when the primary's host dies is sent by its successor.
  @documented @backups
  @claim:FRESH-BACKUP @claim:NO-SPLIT-BRAIN
  Scenario: Files are sent in the background, and a standby is backed up
    Given the topology "single-region-archive-async"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each, with 40 kB of WAL beside each row
    When an operator takes a backup of the cluster "main"
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And an operator restores the latest state of the cluster "main"
    Then the archive has no gap
    And nothing in the archive is overwritten
    And what was restored holds every write up to its target

  # Nodes archive nothing for a while, and clients feel nothing of it. What waited is sent when the store is back.
  @documented @backups
  @claim:NO-SPLIT-BRAIN
  Scenario Outline: The object store is gone, and comes back
    Given the topology "single-region-archive"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When <fault>
    And 8 s to 10 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the archive has no gap
    And nothing in the archive is overwritten

    Examples:
      | fault                                            |
      | MinIO on storage is killed                       |
      | the host of storage dies                         |
      | the certificate of storage expires               |
      | the buckets on storage are full                  |
      | the drive of the object store on storage is gone |

  # Slow is not gone: every file arrives, and later. The last one of a second of WAL is not to wait for a minute.
  @documented @backups
  @claim:NO-SPLIT-BRAIN
  Scenario: The way to the object store is slow
    Given the topology "single-region-archive"
    And every link is shaped
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When the fault "link_latency" hits the nodes
      | to         | storage |
      | ports      | 9000    |
      | round_trip | 500 ms  |
    And 20 s to 25 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And a file of the WAL is in the archive after at most 30 s
    And the archive has no gap
    And nothing in the archive is overwritten

  # What it had sent so far counts for nothing, and PostgreSQL sends the whole file again.
  @documented @backups
  @claim:NO-SPLIT-BRAIN
  Scenario: An archive command is killed in the middle
    Given the topology "single-region-archive"
    And 4 clients writing 25 rows per second each
    When an archive command on the primary is killed in the middle
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And the archive has no gap
    And nothing in the archive is overwritten

  # What the old primary had not sent is on its disk alone: a new primary archives what it writes itself. Before it writes at
  # all it asks the archive, which is gone, for what may come after its own WAL (`restore_command`), and pgBackRest tries each
  # time for a minute: nobody can write until the store is back, or for about five minutes. So this scenario fails, and is
  # right to. Nodes that take nothing back are promoted as ever.
  @documented @backups
  @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario Outline: A failover while the archive is gone
    Given the topology "<topology>"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When MinIO on storage is killed
    And 8 s to 10 s have passed
    And the host of the primary dies
    And 60 s to 65 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 45 s
    And the archive has no gap
    And nothing in the archive is overwritten

    Examples:
      | topology                     |
      | single-region-archive        |
      | single-region-archive-unread |

  # Document 004's checklist: while the archive is down WAL piles up on the primary, until its volume has no room left. It is
  # small here, and a file ends every two seconds, so that this takes no night. A standby that was promoted archives nothing
  # either; its own disk has room.
  @documented @backups @disk
  @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN
  Scenario: The archive is down, and WAL fills the disk of the primary
    Given the topology "single-region-archive-unread"
    And the disks can fail
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When MinIO on storage is killed
    And the WAL volume of the primary fills up to 160 MB
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes
    And the archive has no gap

  # A standby's disk fills, and clients feel nothing: it stops, and copies what it lacks when there is room again. Then the same
  # happens to the primary, which costs the one outage of its failover or restart: as much room on a standby as on the primary
  # means that neither is watched alone.
  @documented @disk
  @claim:DISK @claim:NO-SPLIT-BRAIN
  Scenario: The disk of a standby is full, and then that of the primary
    Given the topology "single-region"
    And the disks can fail
    And 4 clients writing 25 rows per second each
    When the data volume of a standby is full
    And 20 s to 25 s have passed
    And the fault is healed
    And every node has rejoined
    And the WAL volume of the primary is full
    And 5 s to 10 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then there are at most 1 outages
    And never do two nodes accept writes

  # Document 002, disaster recovery 3: the corrupted primary, which is node1 at first, is failed over, and reinitialised. The
  # backup from before holds what the page held, so that what is restored has it, too.
  @documented @backups
  @claim:CORRUPTION @claim:FRESH-BACKUP @claim:NO-SPLIT-BRAIN
  Scenario: A corrupted primary is failed over, rebuilt and restored
    Given the topology "single-region-archive"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And a page of the table on node1 is corrupted
    And an operator switches over
    And clients can write again
    And an operator reinitialises node1
    And the fault is healed
    And every node has rejoined
    And an operator restores the latest state of the cluster "main"
    Then no acknowledged write is lost
    And what was restored holds every write up to its target

  # The backup copies the damaged page, says so in its log, and ends with success.
  @documented @backups @control:restore
  Scenario: A backup of a corrupted primary
    Given the topology "single-region-archive"
    And 4 clients writing 25 rows per second each
    When a page of the table on the primary is corrupted
    And an operator takes a backup of the cluster "main"
    And an operator restores the latest state of the cluster "main"
    Then what was restored holds every write up to its target

  # Document 000, method 3. The streaming link alone is cut: packets are dropped, so that the receiver notices only after
  # `wal_receiver_timeout` (60 s), and not before that does the archive take over.
  @documented @two_region @backups
  @claim:HYBRID @claim:XLAG-SHIP @claim:SLOT-HOLDS @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: Streaming between two regions breaks, and the archive takes over
    Given the topology "two-region-hybrid"
    And 4 clients writing 25 rows per second each
    When the fault "partition" hits region us-west-2
      | from  | region us-east-1 |
      | ports | 5432             |
    And 80 s to 85 s have passed
    And the fault is healed
    And every node has rejoined
    Then the archive takes over where streaming breaks, and streaming comes back
    And by its archive the other region is at most 30 s behind the primary in 95 of 100 looks
    And the region that follows accepts no write
    And the slot of the region that follows is never lost
    And the archive has no gap

  # After a region is lost the other one archives what it writes into its own bucket, and can be restored from it.
  @documented @two_region @backups
  @claim:ARCHIVE-NEW @claim:REGION-RPO @claim:NO-SPLIT-BRAIN
  Scenario Outline: A region that was promoted archives, and is restored
    Given the topology "<topology>"
    And 4 clients writing 25 rows per second each
    When region us-east-1 loses power
    And an operator confirms the loss of the cluster "east"
    And an operator promotes the cluster "west"
    And clients are pointed at the cluster "west"
    And clients can write again
    And the cluster "east" is given up
    And an operator takes a backup of the cluster "west"
    And an operator restores the latest state of the cluster "west"
    Then what was restored holds every write up to its target
    And a restore takes at most 60 s

    Examples:
      | topology           |
      | two-region-hybrid  |
      | two-region-backups |
