Feature: A region that is fed by its archive alone
  Document 000, method 2: nobody streams to the second region. Its leader asks its own copy of the archive for the next file of
  the WAL, and the document promises a lag of 1 to 10 s.

  # A file ends when it is full, or after `archive_timeout`, which 002 sets to 300 s. Where little is written the region lags by as
  # much as that, so this scenario fails long before the first file ends.
  @documented @two_region @backups
  @claim:XLAG-SHIP @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: WAL is shipped as the documents write it, and little is written
    Given the topology "two-region-shipping-as-written"
    And 1 clients writing 5 rows per second each
    When 60 s to 65 s have passed
    Then by its archive the other region is at most 10 s behind the primary in 95 of 100 looks
    And the region that follows accepts no write
    And the archive has no gap

  # With 4 MB of WAL a second a file is full after four seconds, whatever `archive_timeout` is.
  @documented @two_region @backups
  @claim:XLAG-SHIP @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: WAL is shipped as the documents write it, and much is written
    Given the topology "two-region-shipping-as-written"
    And 4 clients writing 25 rows per second each, with 40 kB of WAL beside each row
    When 40 s to 45 s have passed
    Then by its archive the other region is at most 10 s behind the primary in 95 of 100 looks
    And the region that follows accepts no write
    And the archive has no gap

  # The corrected one: a file ends after two seconds.
  @documented @two_region @backups
  @claim:XLAG-SHIP @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: Files end soon, and little is written
    Given the topology "two-region-shipping"
    And 1 clients writing 5 rows per second each
    When 40 s to 45 s have passed
    Then by its archive the other region is at most 10 s behind the primary in 95 of 100 looks
    And the region that follows accepts no write
    And no acknowledged write is lost
    And the archive has no gap

  # The first region's bucket is copied no more. The other region falls behind without anybody who writes noticing, and gets
  # everything when the copy goes on.
  @documented @two_region @backups
  @claim:WRITE-BLOCKED @claim:NO-SPLIT-BRAIN
  Scenario: The copy of the bucket stands still, and catches up
    Given the topology "two-region-shipping"
    And 4 clients writing 25 rows per second each
    When the fault "partition" hits west-storage
      | from  | east-storage |
      | ports | 9000         |
    And 30 s to 35 s have passed
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 1 s
    And no acknowledged write is lost
    And the region that follows accepts no write
    And the archive has no gap
