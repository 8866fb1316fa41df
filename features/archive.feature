Feature: Backups and the archive
  Documents 000 to 004 rest their disaster recovery on WAL and backups in object storage. The archive is read here from its
  bucket, and what is restored is compared with what clients were told.

  # The checklist of document 004: a backup is taken, restored and verified, and the time is measured.
  @quick @documented @backups
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

  # Document 002's own words: the restored server stays at its target and accepts no write.
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

  # An archive command that says that it has done what it has not: a sixteenth of the files is lost, and nobody is told.
  @documented @backups @control:archive
  Scenario: An archive command loses a file
    Given the topology "single-region-archive"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And the PostgreSQL parameter "archive_command" is "case %f in *6) true ;; *) pgbackrest --stanza=main archive-push %p ;; esac"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary is killed
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the archive has no gap

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
      | fault                              |
      | MinIO on storage is killed         |
      | the host of storage dies           |
      | the certificate of storage expires |

  # What the old primary had not sent is on its disk alone: a new primary archives what it writes itself.
  @documented @backups
  @claim:NO-SPLIT-BRAIN
  Scenario: A failover while the archive lags
    Given the topology "single-region-archive"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When MinIO on storage is killed
    And 8 s to 10 s have passed
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the archive has no gap
    And nothing in the archive is overwritten

  # Document 004's checklist: while the archive is down WAL piles up on the primary, until its volume has no room left.
  @documented @backups @disk
  @claim:DISK @claim:NO-SPLIT-BRAIN
  Scenario: The archive is down, and the WAL volume of the primary is full
    Given the topology "single-region-archive"
    And the disks can fail
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When MinIO on storage is killed
    And the WAL volume of the primary is full
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then never do two nodes accept writes
    And the archive has no gap

  # Document 000, method 3. The streaming link alone is cut: packets are dropped, so that the receiver notices only after
  # `wal_receiver_timeout` (60 s), and not before that does the archive take over.
  @documented @two_region @backups
  @claim:HYBRID @claim:SLOT-HOLDS @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: Streaming between two regions breaks, and the archive takes over
    Given the topology "two-region-hybrid"
    And 4 clients writing 25 rows per second each
    When the fault "partition" hits region us-west-2
      | from  | region us-east-1 |
      | ports | 5432             |
    And 80 s to 85 s have passed
    And the fault is healed
    And every node has rejoined
    Then the region that follows accepts no write
    And the slot of the region that follows is never lost
    And the archive has no gap

  # After a region is lost the other one archives what it writes into its own bucket, and can be restored from it.
  @documented @two_region @backups
  @claim:ARCHIVE-NEW @claim:REGION-RPO @claim:NO-SPLIT-BRAIN
  Scenario: A region that was promoted archives, and is restored
    Given the topology "two-region-hybrid"
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
