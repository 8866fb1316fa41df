Feature: A restored server and its source share an archive
  A server that was restored has the configuration of its source, and with it the archive. No document of 000, 001 and 003 says
  what becomes of that; 002's own commands overwrite (archive.feature).

  # Nodes that do not read the archive do not know that the restored server has begun a timeline 3 there. They begin another one
  # when their primary dies. pgBackRest overwrites the history of that, as s3cmd does; a segment whose name is taken by another
  # content it refuses, and sends nothing behind it any more.
  @documented @backups @control:archive
  Scenario: Two primaries archive under the same names
    Given the topology "shared-archive-unread"
    And the PostgreSQL parameter "archive_timeout" is "30"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And an operator restores the latest state of the cluster "main"
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And 40 s to 45 s have passed
    Then the archive has no gap

  # Nodes that read the archive find the timeline of the restored server there, and take it for the newest of their own. A
  # standby that starts again looks for it, and does not follow its primary any more.
  @documented @backups @control:rejoin
  Scenario: A standby follows the timeline of a restored server
    Given the topology "shared-archive"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And an operator restores the latest state of the cluster "main"
    And PostgreSQL on a standby is killed
    And the fault is healed
    Then the node that was lost follows the new primary within 60 s

  # Corrected: what is restored archives nothing, and its source goes on as if it were not there.
  @documented @backups
  @claim:FRESH-BACKUP @claim:NO-SPLIT-BRAIN
  Scenario: A restored server leaves the archive alone
    Given the topology "single-region-archive"
    And the PostgreSQL parameter "archive_timeout" is "2"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And an operator restores the latest state of the cluster "main"
    And PostgreSQL on a standby is killed
    And the fault is healed
    And every node has rejoined
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the archive has no gap
    And nothing in the archive is overwritten
    And what was restored holds every write up to its target
