@versions
Feature: Versions
  The same failover in other versions of PostgreSQL and Patroni than those of Debian's packages. `--matrix` runs any scenario over
  versions; these are held here, each version once.

  Scenario Outline: The primary's host dies under PostgreSQL <postgresql> and Patroni <patroni>
    Given the topology "single-region"
    And the version of "postgresql" is "<postgresql>"
    And the version of "patroni" is "<patroni>"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 60 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

    Examples:
      | postgresql | patroni |
      | 15         | 3.3     |
      | 16         | 4.0     |
      | 18         | 4.1     |

  # The tool and the machine that restores know the version, too.
  @nightly @backups @claim:FRESH-BACKUP
  Scenario Outline: A backup is restored under PostgreSQL <postgresql>
    Given the topology "single-region-archive"
    And the version of "postgresql" is "<postgresql>"
    And 4 clients writing 25 rows per second each
    When an operator takes a backup of the cluster "main"
    And the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    And an operator restores the latest state of the cluster "main"
    Then what was restored holds every write up to its target
    And the archive has no gap
    And no acknowledged write is lost

    Examples:
      | postgresql |
      | 16         |
      | 18         |
