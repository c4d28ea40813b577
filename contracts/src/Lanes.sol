// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Packed balances
/// @notice One balance, called a lane, is a uint64 of lane units. Four lanes share a storage word, lane 0 in the most
/// significant bits: member `m` has lane `m % 4` of word `m / 4`. Words and the packed deltas thus read in the same
/// direction, left to right. Words follow each other in storage (no hashing of keys).
///
/// Deltas are packed big-endian int32 lane units, 4 bytes per member, dense from member 0, positive = credited to the
/// member. Members beyond their end have a delta of zero.
library Lanes {
    /// @notice A word for every member index that a uint32 can name.
    struct Book {
        uint256[1 << 30] words;
    }

    /// @notice The member's balance would fall below zero.
    /// @param balance lane units held
    /// @param delta lane units to be taken, negative
    error InsufficientCollateral(uint32 member, uint64 balance, int256 delta);

    /// @notice The member's balance would not fit a lane.
    /// @param balance lane units held
    /// @param delta lane units to be credited
    error LaneOverflow(uint32 member, uint64 balance, int256 delta);

    /// @notice The deltas are not a whole number of 4-byte integers.
    error DeltasMisaligned(uint256 length);

    /// @notice There are more deltas than members.
    error DeltasTooLong(uint256 length, uint256 members);

    /// @notice The deltas would create (positive) or destroy (negative) money, in lane units.
    error DeltasNotZeroSum(int256 sum);

    uint256 private constant LANE = type(uint64).max;

    /// @return lane units held by the member
    function balanceOf(Book storage book, uint32 member) internal view returns (uint64) {
        return uint64(book.words[member / 4] >> _shift(member));
    }

    /// @notice Changes one balance.
    /// @param delta lane units, positive = credited to the member
    function move(Book storage book, uint32 member, int256 delta) internal {
        uint256 word = book.words[member / 4];
        uint256 shift = _shift(member);
        uint64 balance = uint64(word >> shift);
        book.words[member / 4] = (word & ~(LANE << shift)) | (_moved(member, balance, delta) << shift);
    }

    /// @notice Requires that deltas concern members only and neither create nor destroy money.
    /// @param members how many members there are
    function check(bytes calldata deltas, uint256 members) internal pure {
        if (deltas.length % 4 != 0) revert DeltasMisaligned(deltas.length);
        if (deltas.length > members * 4) revert DeltasTooLong(deltas.length, members);
        int256 sum = 0;
        // 2^32 members of 2^31 lane units each are far from the bounds of int256.
        unchecked {
            for (uint256 offset = 0; offset < deltas.length; offset += 32) {
                // Signed, so that a shift extends the sign of the delta that it cuts out.
                int256 eight = int256(uint256(bytes32(deltas[offset:])));
                sum += (eight >> 224) + (eight << 32 >> 224) + (eight << 64 >> 224) + (eight << 96 >> 224);
                sum += (eight << 128 >> 224) + (eight << 160 >> 224) + (eight << 192 >> 224) + (eight << 224 >> 224);
            }
        }
        if (sum != 0) revert DeltasNotZeroSum(sum);
    }

    /// @notice Applies deltas that passed `check`; four members whose deltas are zero cost no storage access.
    function applyAll(Book storage book, bytes calldata deltas) internal {
        // The offsets are bounded by the length of calldata.
        unchecked {
            for (uint256 offset = 0; offset < deltas.length; offset += 16) {
                // Converting a slice pads it with zeros: bytes after the end of the deltas cannot be read as deltas.
                bytes16 four = bytes16(deltas[offset:]);
                if (four != 0) {
                    uint256 word = offset / 16;
                    book.words[word] = _movedWord(uint32(offset / 4), book.words[word], four);
                }
            }
        }
    }

    /// @param first member of the word's lane 0
    /// @param word four balances
    /// @param four four int32 deltas
    function _movedWord(uint32 first, uint256 word, bytes16 four) private pure returns (uint256) {
        // Shifts of a signed number extend the sign of the delta that they cut out.
        int256 deltas = int256(uint256(bytes32(four)));
        unchecked {
            uint256 a = (word >> 192) + uint256(deltas >> 224);
            uint256 b = (word >> 128 & LANE) + uint256(deltas << 32 >> 224);
            uint256 c = (word >> 64 & LANE) + uint256(deltas << 64 >> 224);
            uint256 d = (word & LANE) + uint256(deltas << 96 >> 224);
            // One test for both faults in all lanes: a negative number has its high bits set.
            if ((a | b | c | d) > LANE) {
                for (uint32 lane = 0; lane < 4; ++lane) {
                    _moved(first + lane, uint64(word >> _shift(lane)), deltas << 32 * lane >> 224);
                }
            }
            return a << 192 | b << 128 | c << 64 | d;
        }
    }

    /// @return the balance after the delta, below 2^64
    function _moved(uint32 member, uint64 balance, int256 delta) private pure returns (uint256) {
        int256 moved;
        // A uint64 and a delta of a few bits more cannot leave int256.
        unchecked {
            moved = int256(uint256(balance)) + delta;
        }
        if (moved < 0) revert InsufficientCollateral(member, balance, delta);
        if (uint256(moved) > LANE) revert LaneOverflow(member, balance, delta);
        return uint256(moved);
    }

    function _shift(uint32 member) private pure returns (uint256) {
        unchecked {
            return 192 - 64 * (member % 4);
        }
    }
}
